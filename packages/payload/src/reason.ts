/** One line about anything thrown, for the `reason` of a coded error. */
export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const code = systemCode(thrown);
  if (thrown.message !== "") return thrown.message;
  return code ?? thrown.name;
}

/** The `code` of a system error (ENOENT, ENOSPC, UND_ERR_...), if it has one. */
export function systemCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}
