/** The rooms of the house: arrows go down only. Each rule is a sentence of docs/contribute/rooms.md. */
const TESTS = ["\\.test\\.ts$", "/test/"];

const only = (name, home, allowed) => ({
  name,
  severity: "error",
  from: { path: `^packages/${home}/`, pathNot: TESTS },
  to: {
    path: "^(packages|apps|e2e|bench)/",
    pathNot: [`^packages/${home}/`, ...allowed.map((room) => `^packages/${room}/src/index\\.ts$`)],
  },
});

module.exports = {
  forbidden: [
    only("poco-imports-nothing-of-ours", "poco", []),
    only("service-knows-no-protocol", "service", []),
    only("chain-imports-poco-and-service", "chain", ["poco", "service"]),
    only("wire-imports-poco-and-service", "wire", ["poco", "service"]),
    only("sandbox-imports-service", "sandbox", ["service"]),
    only("payload-imports-poco-and-service", "payload", ["poco", "service"]),
    only("testkit-imports-poco-and-service", "testkit", ["poco", "service"]),
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
    {
      name: "test-helpers-are-for-tests",
      severity: "error",
      from: { path: "^(packages|apps)/", pathNot: TESTS },
      to: { path: "^(packages|apps)/.*/test/" },
    },
    { name: "imports-resolve", severity: "error", from: {}, to: { couldNotResolve: true } },
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
    {
      name: "testkit-is-for-tests-and-the-local-network",
      severity: "error",
      from: { path: "^(packages|apps)/", pathNot: [...TESTS, "^packages/testkit/", "^apps/network/"] },
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
