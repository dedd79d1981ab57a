/** Something the requester can mend: wrong arguments or a wrong scene. */
export class Mistake extends Error {
  readonly kind: "arguments" | "scene";

  constructor(kind: "arguments" | "scene", message: string) {
    super(message);
    this.name = "Mistake";
    this.kind = kind;
  }
}
