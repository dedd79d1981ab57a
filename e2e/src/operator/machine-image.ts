import type { Side } from "@iexec-ts/testkit";
import { assembleBusyboxImage, pushImage } from "@iexec-ts/testkit";
import type { World } from "./world.ts";

const DEVELOPER_ACCOUNT = 1;

/** An app that is no good: its result is the memory of the machine it runs on. */
const SCRIPT = `#!/bin/sh
cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null > /iexec_out/result.txt
printf '{"deterministic-output-path":"/iexec_out/result.txt"}' > /iexec_out/computed.json
`;

/** SIDE EFFECTS: loads the image into the engine, pushes it, and registers the app. */
export async function machineApp(world: World, signal: AbortSignal): Promise<Side> {
  const reference = `${world.registry}/iexec-ts/machine:1`;
  const files = new Map([["/app.sh", { kind: "text", content: SCRIPT, mode: 0o755 } as const]]);
  await assembleBusyboxImage(world.docker, { tag: reference, files, entrypoint: ["/bin/sh", "/app.sh"] }, signal);
  const { digest } = await pushImage(world.docker, reference);
  const owner = world.rig.chain.account(DEVELOPER_ACCOUNT);
  const address = await world.rig.chain.createApp(owner, {
    name: "machine",
    image: reference,
    checksum: `0x${digest.replace("sha256:", "")}`,
  });
  return { address, owner };
}
