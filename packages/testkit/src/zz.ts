import Docker from "dockerode"; import { assembleNodeImage, assembleBusyboxImage, pushImage, startRegistry } from "@iexec-ts/testkit";
const docker = new Docker();
const time = async <T>(n: string, f: () => Promise<T>) => { const t=performance.now(); const r=await f(); console.log(n, Math.round(performance.now()-t), r); return r; };
for (const implementation of ["program","built-in"] as const) {
 const r = await time("registry", () => startRegistry({implementation}));
 const tag = `${r.host}/zz/node:1`; const bb=`${r.host}/zz/bb:1`;
 await time("node", () => assembleNodeImage(docker, {tag, entrypoint:["node"], files: new Map([["/app/a.mjs",{kind:"text",content:"console.log(process.version)"}]]), command:["/app/a.mjs"]}));
 await time("push", () => pushImage(docker, tag));
 await time("bb", () => assembleBusyboxImage(docker, {tag: bb, entrypoint:["/bin/sh","-c"], command:["echo hi; ls /"]}));
 const d = await time("push", () => pushImage(docker, bb));
 for (const ref of [tag, bb]) { await docker.getImage(ref).remove({force:true}); 
  await time("pull", async () => { const s = await docker.pull(ref); await new Promise((res,rej)=>docker.modem.followProgress(s,(e: unknown,o: unknown)=>e?rej(e):res(o))); });
  const c = await docker.createContainer({Image: ref}); await c.start(); console.log(await c.wait(), (await c.logs({stdout:true,stderr:true})).toString().slice(0,100)); await c.remove(); await docker.getImage(ref).remove({force:true}); }
 console.log(await (await fetch(`${r.url}/v2/zz/bb/tags/list`)).text(), (await fetch(`${r.url}/v2/zz/bb/manifests/${d.digest}`)).status);
 await time("stop", () => r.stop());
}
