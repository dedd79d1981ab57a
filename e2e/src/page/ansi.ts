const COLOURS: Readonly<Record<string, string>> = {
  "31": "#ff8f8f",
  "32": "#8be28b",
  "33": "#f3cf6b",
  "36": "#7fd3e6",
  "90": "#8f9aa6",
};

const ESCAPE = String.fromCharCode(27);
const STYLE = new RegExp(`${ESCAPE}\\[([0-9;]*)m`);
/** Moves of the cursor and the like. */
const OTHER = new RegExp(`${ESCAPE}\\[[0-9;?]*[A-Za-z]`, "g");

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Text with the few ANSI styles that our commands use, as HTML; lines that were overwritten keep only their last state. */
export function ansiToHtml(text: string): string {
  let bold = false;
  let colour: string | undefined;
  const span = (part: string): string => {
    const style = [bold ? "font-weight:700" : "", colour === undefined ? "" : `color:${colour}`].filter((one) => one !== "").join(";");
    return style === "" ? escaped(part) : `<span style="${style}">${escaped(part)}</span>`;
  };
  const shown = text
    .split("\n")
    .map((line) => line.slice(line.lastIndexOf("\r") + 1))
    .join("\n");
  return shown.split(STYLE).reduce((html, part, index) => {
    if (index % 2 === 0) return html + (part === "" ? "" : span(part.replace(OTHER, "")));
    for (const code of part.split(";")) {
      if (code === "1") bold = true;
      else if (code === "22") bold = false;
      else if (code === "39") colour = undefined;
      else if (code === "0" || code === "") [bold, colour] = [false, undefined];
      else colour = COLOURS[code] ?? colour;
    }
    return html;
  }, "");
}
