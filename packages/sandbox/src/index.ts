export * from "./api.ts";
export { logFileBytes } from "./container-config.ts";
export { createDockerSandbox, type DockerSandbox } from "./docker-sandbox.ts";
export { type Firewall, hostFirewall, PRIVATE_RANGES } from "./egress-guard.ts";
export { fileImageUses, type ImageUses, memoryImageUses } from "./image-uses.ts";
export type { AllowedAddress, DockerSandboxDeps, DockerSandboxOptions, EgressOptions, Profile, SandboxLogger } from "./options.ts";
export type { IsolationReport, IsolationTarget } from "./prove-isolation.ts";
export type { PruneRequest } from "./prune-images.ts";
export { canonicalRegistry, type ImageReference, parseReference } from "./reference.ts";
