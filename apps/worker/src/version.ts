import manifest from "../package.json" with { type: "json" };

/** Set by `./run build` when a release is given another version than the source has. */
declare const BUILD_VERSION: string | undefined;

export const VERSION: string = typeof BUILD_VERSION === "undefined" ? manifest.version : BUILD_VERSION;
