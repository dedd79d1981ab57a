import type { DemoImage } from "@iexec-ts/network";
import { assembleBusyboxImage, type ImageRegistry, pushImage } from "@iexec-ts/testkit";
import type Docker from "dockerode";

/**
 * A tiny app whose behaviour is its arguments: `KEY=VALUE` words.
 * SLEEP seconds before the result (fractions allowed), TEXT the result, EXIT its code, NORESULT writes no computed.json, BURN seconds of CPU,
 * COUNT appends a line to /iexec_out/runs.txt, so that a second run of the same folder is seen, CALLBACK the hex a contract is called with,
 * MIB of noise beside the result, which no zip makes smaller.
 */
const SCRIPT = `#!/bin/sh
TEXT=result; EXIT=0; SLEEP=0; NORESULT=; BURN=0; COUNT=; CALLBACK=; MIB=
for word in "$@"; do
  case "$word" in
    TEXT=*) TEXT=\${word#TEXT=} ;;
    EXIT=*) EXIT=\${word#EXIT=} ;;
    SLEEP=*) SLEEP=\${word#SLEEP=} ;;
    BURN=*) BURN=\${word#BURN=} ;;
    NORESULT=*) NORESULT=1 ;;
    COUNT=*) COUNT=1 ;;
    CALLBACK=*) CALLBACK=\${word#CALLBACK=} ;;
    MIB=*) MIB=\${word#MIB=} ;;
  esac
done
[ -n "$COUNT" ] && echo run >> /iexec_out/runs.txt
echo "started"
sleep "$SLEEP"
printf '%s' "$TEXT" > /iexec_out/result.txt
[ -n "$MIB" ] && dd if=/dev/urandom of=/iexec_out/ballast.bin bs=1048576 count="$MIB" 2>/dev/null
if [ -n "$CALLBACK" ]; then
  printf '{"callback-data":"%s"}' "$CALLBACK" > /iexec_out/computed.json
elif [ -z "$NORESULT" ]; then
  printf '{"deterministic-output-path":"/iexec_out/result.txt"}' > /iexec_out/computed.json
fi
exit "$EXIT"
`;

const NAME = "iexec-ts/probe:1";

/** SIDE EFFECTS: loads the image into the engine and pushes it to the registry. */
export async function buildProbeImage(
  { docker, registry }: { readonly docker: Docker; readonly registry: Pick<ImageRegistry, "host"> },
  signal: AbortSignal,
): Promise<DemoImage> {
  const reference = `${registry.host}/${NAME}`;
  const files = new Map([["/app.sh", { kind: "text", content: SCRIPT, mode: 0o755 } as const]]);
  await assembleBusyboxImage(docker, { tag: reference, files, entrypoint: ["/bin/sh", "/app.sh"] }, signal);
  const { digest } = await pushImage(docker, reference);
  return { reference, checksum: `0x${digest.replace("sha256:", "")}` };
}
