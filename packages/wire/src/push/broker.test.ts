import { describe, expect, test } from "vitest";
import { OTHER_TASK, TASK } from "../testing/fake-scheduler.ts";
import { TopicBroker } from "./broker.ts";
import { CLIENT_LIMITS, encodeFrame, StompDecoder, type StompFrame } from "./stomp.ts";

function manualClock() {
  let ms = 0;
  return {
    now: () => new Date(ms),
    monotonicMs: () => ms,
    sleep: async () => undefined,
    advance: (by: number) => {
      ms += by;
    },
  };
}

function world(limits = { maxSubscriptions: 3, frameBurst: 40, framesPerSecond: 10 }) {
  const clock = manualClock();
  const broker = new TopicBroker(clock, limits);
  const client = () => {
    const decoder = new StompDecoder(CLIENT_LIMITS);
    const frames: StompFrame[] = [];
    let beats = 0;
    let ended = false;
    const session = broker.open({
      send: (text) => {
        if (text === "\n") beats += 1;
        frames.push(...decoder.push(text));
      },
      end: () => {
        ended = true;
      },
    });
    return {
      session,
      frames,
      commands: () => frames.map(({ command }) => command),
      isEnded: () => ended,
      beats: () => beats,
      say: (command: string, headers: Record<string, string> = {}, body = "") => session.receive(encodeFrame(command, headers, body)),
    };
  };
  const connected = (heartbeat = "0,0") => {
    const it = client();
    it.say("CONNECT", { "accept-version": "1.1,1.2", "heart-beat": heartbeat });
    return it;
  };
  return { clock, broker, client, connected };
}
const topic = (taskId: string) => `/topic/task/${taskId}`;

describe("topic broker", () => {
  test("a subscriber gets what is published to its task, until it unsubscribes", () => {
    const { broker, connected } = world();
    const a = connected();
    const b = connected();
    a.say("SUBSCRIBE", { id: "1", destination: topic(TASK), receipt: "r" });
    b.say("SUBSCRIBE", { id: "1", destination: topic(OTHER_TASK) });
    expect(broker.publish(TASK, `{"n":1}`)).toBe(1);
    expect(a.commands()).toEqual(["CONNECTED", "RECEIPT", "MESSAGE"]);
    expect(a.frames.at(-1)?.body).toBe(`{"n":1}`);
    expect(a.frames.at(-1)?.headers.get("subscription")).toBe("1");
    expect(a.frames.at(-1)?.headers.get("content-type")).toBe("application/json");
    expect(b.commands()).toEqual(["CONNECTED"]);
    a.say("UNSUBSCRIBE", { id: "1" });
    expect(broker.publish(TASK, "{}")).toBe(0);
  });

  test.each([
    ["1.0,1.1", "1.1"],
    ["1.2", "1.2"],
    ["1.1,1.2", "1.2"],
  ])("versions %s agree on %s", (offered, agreed) => {
    const it = world().client();
    it.say("STOMP", { "accept-version": offered });
    expect(it.frames[0]?.headers.get("version")).toBe(agreed);
  });

  test("a forged order is refused and reaches nobody", () => {
    const { connected, broker } = world();
    const victim = connected();
    victim.say("SUBSCRIBE", { id: "1", destination: topic(TASK) });
    const attacker = connected();
    attacker.say("SEND", { destination: topic(TASK) }, `{"taskNotificationType":"PLEASE_ABORT"}`);
    expect(attacker.commands()).toEqual(["CONNECTED", "ERROR"]);
    expect(attacker.isEnded()).toBe(true);
    expect(victim.commands()).toEqual(["CONNECTED"]);
    expect(broker.publish(TASK, "{}")).toBe(1);
  });

  test.each([
    ["a wildcard topic", "SUBSCRIBE", { id: "1", destination: "/topic/task/*" }],
    ["another topic", "SUBSCRIBE", { id: "1", destination: "/topic/metrics" }],
    ["an upper-case task", "SUBSCRIBE", { id: "1", destination: topic(`0x${"AA".repeat(32)}`) }],
    ["no id", "SUBSCRIBE", { destination: topic(TASK) }],
    ["a transaction", "BEGIN", { transaction: "t" }],
    ["a second CONNECT", "CONNECT", { "accept-version": "1.2" }],
  ])("%s is refused", (_name, command, headers) => {
    const it = world().connected();
    it.say(command, headers);
    expect(it.commands().at(-1)).toBe("ERROR");
    expect(it.isEnded()).toBe(true);
  });

  test("nothing is heard before CONNECT, and 1.0 is not spoken", () => {
    const { client } = world();
    const early = client();
    early.say("SUBSCRIBE", { id: "1", destination: topic(TASK) });
    const old = client();
    old.say("CONNECT", {});
    expect([early.commands(), old.commands()]).toEqual([["ERROR"], ["ERROR"]]);
  });

  test("subscriptions are bounded, and those of a closed session are gone", () => {
    const { connected, broker } = world();
    const it = connected();
    for (const id of ["1", "2", "3"]) it.say("SUBSCRIBE", { id, destination: topic(TASK) });
    // One session, three subscriptions.
    expect(broker.publish(TASK, "{}")).toBe(1);
    expect(it.commands().filter((command) => command === "MESSAGE")).toHaveLength(3);
    it.say("SUBSCRIBE", { id: "4", destination: topic(OTHER_TASK) });
    expect(it.isEnded()).toBe(true);
    expect(broker.publish(TASK, "{}")).toBe(0);
  });

  test("a flood of frames ends the session; a steady stream does not", () => {
    const { connected, clock } = world();
    const steady = connected();
    for (let round = 0; round < 200; round += 1) {
      clock.advance(200);
      steady.say("ACK", { id: "1" });
    }
    expect(steady.isEnded()).toBe(false);
    const flood = connected();
    let sent = 0;
    while (!flood.isEnded()) {
      flood.say("ACK", { id: "1" });
      sent += 1;
    }
    expect(sent).toBeLessThanOrEqual(40);
  });

  test("heart-beats go out and silence is noticed", () => {
    const { connected, client, clock } = world();
    const it = connected("10000,10000");
    const quiet = connected("0,0");
    const never = client();
    for (let round = 0; round < 8; round += 1) {
      clock.advance(5_000);
      for (const { session } of [it, quiet, never]) session.tick();
    }
    expect(it.beats()).toBeGreaterThan(0);
    expect(it.isEnded()).toBe(true);
    expect(quiet.isEnded()).toBe(false);
    expect(never.isEnded()).toBe(true);
  });

  test("DISCONNECT is confirmed", () => {
    const it = world().connected();
    it.say("DISCONNECT", { receipt: "bye" });
    expect(it.frames.at(-1)?.headers.get("receipt-id")).toBe("bye");
    expect(it.isEnded()).toBe(true);
  });
});
