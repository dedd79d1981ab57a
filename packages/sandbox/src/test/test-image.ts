import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import Docker from "dockerode";
import { busyboxTar } from "../probe-image.ts";

const APPLETS =
  "sh cat echo printf sleep true false head tail tr yes dd ls mkdir mkfifo mknod ln chmod chown touch grep cut id nc env wc kill seq ip mount unshare ps";

/** The engine of this machine, for arranging tests; the code under test has its own connection. */
export const docker = new Docker({ socketPath: "/var/run/docker.sock" });

/**
 * Imports a two-megabyte image with a shell into the engine.
 *
 * @param changes - Dockerfile instructions, such as `VOLUME /data`
 */
export async function importTestImage(reference: string, changes: readonly string[] = []): Promise<string> {
  const tar = busyboxTar(await readFile("/bin/busybox"), APPLETS.split(" "), (extra) => {
    for (const name of ["iexec_in/", "iexec_out/"]) extra.entry({ name, type: "directory", mode: 0o755 });
    extra.entry({ name: "etc/passwd" }, "root:x:0:0::/:/bin/sh\n");
  });
  const [repo, tag] = reference.split(/:(?=[^/:]*$)/);
  const query = { fromSrc: "-", repo, tag, changes: ["ENV PATH=/bin", 'CMD ["/bin/sh","-c","echo default"]', ...changes] };
  const answer = await new Promise<Readable>((resolve, reject) => {
    docker.modem.dial(
      { path: "/images/create?", method: "POST", file: Readable.from(tar), options: query, isStream: true, statusCodes: { 200: true } },
      (error: unknown, stream: unknown) => (stream instanceof Readable ? resolve(stream) : reject(error)),
    );
  });
  let text = "";
  for await (const part of answer) text += String(part);
  const id = /sha256:[0-9a-f]{64}/.exec(text)?.[0];
  if (id === undefined) throw new Error(`the test image was not imported: ${text}`);
  return id;
}

export async function removeTestImage(reference: string): Promise<void> {
  await docker
    .getImage(reference)
    .remove({ force: true })
    .catch(() => undefined);
}
