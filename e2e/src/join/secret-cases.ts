import { must, mustBe } from "../operator/expect.ts";
import type { Scenario } from "../scenario.ts";
import type { JoinWorld } from "./join-world.ts";
import { run } from "./shell.ts";

const LIMIT_MS = 240_000;
/** What a secret of a build would be called. */
const SUSPICIOUS = /BEGIN (?:EC |RSA |OPENSSH )?PRIVATE KEY|"ciphertext"|_authToken|NPM_TOKEN/;

/** SIDE EFFECTS: none; runs after the others, over everything they did. */
export const SECRET_CASES: readonly Scenario<JoinWorld>[] = [
  {
    id: "secrets",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const [watch, images] = await Promise.all([world.watch(), world.images(signal)]);
      const sizes: string[] = [];
      for (const { name } of Object.values(images)) {
        const text = await run(["sh", "-c", 'docker save "$1" | tar -xO --wildcards "*.tar" | strings -n 16', "sh", name], signal);
        must(text.code === 0 && text.output.length > 1_000_000, `${name} could not be read: ${text.output.slice(0, 300)}`);
        watch.check(`the layers of ${name}`, text.output);
        const history = await run(["docker", "history", "--no-trunc", name], signal);
        watch.check(`the history of ${name}`, history.output);
        const found = SUSPICIOUS.exec(history.output);
        mustBe(`suspicious in the history of ${name}`, found?.[0], undefined);
        sizes.push(name);
      }
      const { secrets, processes, containers } = watch.counts;
      must(secrets > 0 && processes > 0 && containers > 0, "no scenario with a secret ran before this one");
      mustBe("secrets found", watch.findings.join("; "), "");
      return `${secrets} passwords: not in the command lines of ${processes} processes, the inspection of ${containers} containers, terminals, logs, or the layers of ${sizes.length} images`;
    },
  },
];
