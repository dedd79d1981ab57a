import { expect, test } from "vitest";
import { startError } from "./start-errors.ts";

const CREATE = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ";
const GVISOR = "OCI runtime start failed: starting container: starting root container: starting sandbox: ";

/** Answers of Docker Engine with runc and runsc, as they were seen. */
test.each([
  `${CREATE}exec: "/nothing": stat /nothing: no such file or directory: unknown`,
  `${CREATE}exec: "nothing": executable file not found in $PATH: unknown`,
  `${CREATE}exec: "/etc": permission denied: unknown`,
  `${GVISOR}creating process: failed to load /nothing: no such file or directory: unknown`,
  `${GVISOR}error finding executable "nothing" in PATH [/usr/bin /bin]: no such file or directory: unknown`,
  "unable to find user somebody: no matching entries in passwd file",
  "unable to find user 0: read /var/lib/docker/overlay2/c7bc/merged/etc/passwd: is a directory",
  "exec /app: exec format error",
])("the image's: %s", (reason) => {
  expect(startError("n", reason).code).toBe("SBX-1203");
});

test.each([
  `${CREATE}exec: "/app": fork/exec: cannot allocate memory: unknown`,
  `${CREATE}unable to apply cgroup configuration: mkdir /sys/fs/cgroup/docker: no space left on device: unknown`,
  "failed to create shim task: context deadline exceeded: unknown",
  "failed to start shim: start failed: fork/exec /usr/bin/containerd-shim-runc-v2: resource temporarily unavailable",
  "failed to set up container networking: Address already in use",
  "something nobody has seen before",
])("this host's: %s", (reason) => {
  expect(startError("n", reason).code).toBe("SBX-1207");
});
