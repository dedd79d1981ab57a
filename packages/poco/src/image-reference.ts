/** An image reference, taken apart. */
export interface ImageReference {
  /** `docker.io` when the reference names none. */
  readonly registry: string;
  /** Path inside the registry, `library/` included for Docker's own images. */
  readonly repository: string;
  readonly tag: string | undefined;
  /** `sha256:<64 hex>` */
  readonly digest: string | undefined;
}

const MAX_REFERENCE_LENGTH = 512;
export const DEFAULT_REGISTRY = "docker.io";

const COMPONENT = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const REGISTRY = /^(?:localhost|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)(?::[0-9]{1,5})?$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

const namesRegistry = (component: string): boolean => component === "localhost" || component.includes(".") || component.includes(":");

/**
 * Takes a reference apart. The Java worker refuses one without a tag; a digest is safer than a tag, so we take either.
 *
 * @returns undefined when it is no reference, or names neither a tag nor a digest
 * @source compute.md 1.8
 */
export function parseImageReference(text: string): ImageReference | undefined {
  if (text.length > MAX_REFERENCE_LENGTH) return undefined;
  const [named = "", digest, ...rest] = text.split("@");
  if (rest.length > 0 || (digest !== undefined && !DIGEST.test(digest))) return undefined;
  const slash = named.indexOf("/");
  const first = slash < 0 ? "" : named.slice(0, slash);
  const registry = slash >= 0 && namesRegistry(first) ? first : undefined;
  const path = registry === undefined ? named : named.slice(slash + 1);
  const colon = path.indexOf(":");
  const name = colon < 0 ? path : path.slice(0, colon);
  const tag = colon < 0 ? undefined : path.slice(colon + 1);
  if (!REPOSITORY.test(name) || (tag !== undefined && !TAG.test(tag)) || (registry !== undefined && !REGISTRY.test(registry)))
    return undefined;
  if (tag === undefined && digest === undefined) return undefined;
  const hub = registry === undefined || registry === DEFAULT_REGISTRY;
  return {
    registry: registry ?? DEFAULT_REGISTRY,
    repository: hub && !name.includes("/") ? `library/${name}` : name,
    tag,
    digest,
  };
}

/** The registry to log in to for a reference: its first component when that looks like a host, else `docker.io`. @source compute.md 1.8 */
export function registryOf(text: string): string {
  const slash = text.indexOf("/");
  const first = slash < 0 ? "" : text.slice(0, slash);
  return namesRegistry(first) ? first : DEFAULT_REGISTRY;
}

/**
 * The short form under which the engine lists an image: without `docker.io/` and `library/`.
 *
 * @source compute.md 1.8
 */
export function normaliseImage(text: string): string {
  return text.replace(/^docker\.io\//, "").replace(/^library\//, "");
}

/** The full form of a reference, digest last. */
export function formatImageReference({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}
