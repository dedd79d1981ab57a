import { CodedError } from "@iexec-ts/service";

/** A name of an image, taken apart. */
export interface ImageReference {
  /** As the engine wants it, without tag and digest. */
  readonly repository: string;
  /** Tag or `sha256:…`; `latest` where none was given. */
  readonly version: string;
  /** Host of the registry, `docker.io` for short names. */
  readonly registry: string;
}

const REPOSITORY =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d{1,5})?\/)?[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const DOCKER_HUB = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

/** The one name under which Docker Hub and its aliases share credentials. */
export const canonicalRegistry = (registry: string): string => {
  const host = registry
    .replace(/^https?:\/\//, "")
    .replace(/\/.*$/, "")
    .toLowerCase();
  return DOCKER_HUB.has(host) ? "docker.io" : host;
};

/**
 * Takes a reference apart. A digest wins over a tag beside it, and a reference with neither means `latest`.
 *
 * Errors: SBX-1108.
 * @source compute.md 1.8: the registry is the first component if it holds a dot or a colon or is `localhost`
 */
export function parseReference(image: string): ImageReference {
  const at = image.indexOf("@");
  const digest = at < 0 ? undefined : image.slice(at + 1);
  const named = at < 0 ? image : image.slice(0, at);
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  const repository = colon < 0 ? named : named.slice(0, colon);

  const valid =
    image.length <= 512 &&
    REPOSITORY.test(repository) &&
    (tag === undefined || TAG.test(tag)) &&
    (digest === undefined || DIGEST.test(digest));
  if (!valid) throw new CodedError("SBX-1108", { image: image.slice(0, 200) });

  const first = repository.split("/", 1)[0] ?? "";
  const hasRegistry = repository.includes("/") && (/[.:]/.test(first) || first === "localhost");
  return { repository, version: digest ?? tag ?? "latest", registry: hasRegistry ? canonicalRegistry(first) : "docker.io" };
}

/** The reference as the engine's image endpoints take it. */
export const referencePath = ({ repository, version }: ImageReference): string =>
  version.includes(":") ? `${repository}@${version}` : `${repository}:${version}`;
