/** The rooms of the house: arrows go down only. Each rule is a sentence of docs/contribute/rooms.md. */
const only = (name, from, allowed) => ({
  name,
  severity: "error",
  from: { path: from },
  to: { path: "^(packages|apps|e2e|bench)/", pathNot: [from, ...allowed.map((p) => `^${p}/src/index\\.ts$`)] },
});
module.exports = {
  forbidden: [
    only("poco-imports-nothing-of-ours", "^packages/poco/src/(?!.*\\.test\\.ts$)", ["(?:packages/poco)"]),
    only("service-knows-no-protocol", "^packages/service/", []),
    only("chain-imports-poco-and-service", "^packages/chain/src/(?!.*\\.test\\.ts$)", ["packages/poco", "packages/service"]),
    only("wire-imports-poco-and-service", "^packages/wire/src/(?!.*\\.test\\.ts$)", ["packages/poco", "packages/service"]),
    only("sandbox-imports-service", "^packages/sandbox/src/(?!.*\\.test\\.ts$)", ["packages/service"]),
    only("payload-imports-poco-and-service", "^packages/payload/src/(?!.*\\.test\\.ts$)", ["packages/poco", "packages/service"]),
    only("testkit-imports-poco-and-service", "^packages/testkit/src/(?!.*\\.test\\.ts$)", ["packages/poco", "packages/service"]),
    {
      name: "no-app-imports-another-app",
      severity: "error",
      from: { path: "^apps/(?!network/)([^/]+)/" },
      to: { path: "^apps/", pathNot: "^apps/$1/" },
    },
    {
      name: "network-starts-apps-through-their-index",
      severity: "error",
      from: { path: "^(apps/network|e2e|bench)/" },
      to: { path: "^apps/(?!network/)[^/]+/", pathNot: "^apps/[^/]+/src/index\\.ts$" },
    },
    {
      name: "packages-never-import-apps",
      severity: "error",
      from: { path: "^packages/" },
      to: { path: "^(apps|e2e|bench)/" },
    },
    {
      name: "no-deep-imports",
      severity: "error",
      from: { path: "^((?:packages|apps)/[^/]+|e2e|bench)/" },
      to: { path: "^(packages|apps)/[^/]+/(?!src/index\\.ts$)", pathNot: "^$1/" },
    },
    { name: "imports-resolve", severity: "error", from: {}, to: { couldNotResolve: true } },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
    {
      name: "testkit-is-for-tests-and-the-local-network",
      severity: "error",
      from: { path: "^(packages|apps)/", pathNot: ["\\.test\\.ts$", "^packages/testkit/", "^apps/network/", "/test/"] },
      to: { path: "^packages/testkit/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)node_modules/" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
