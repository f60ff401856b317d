/**
 * Writes samples/: ten pages as Debian's Chromium renders them, and in pages.json what is written on them and
 * where; and pages that are harder to lay out than to read, with their text in layouts.json. Not needed to build, start or test Nearside; it says where the pictures come from:
 *
 *     apt-get install chromium fonts-liberation fonts-dejavu
 *     node models/ocr/make-samples.mjs
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";

import { chromium } from "playwright-core";

const SANS = "font-family: 'Liberation Sans'; font-size: 24px;";
const SERIF = "font-family: 'Liberation Serif'; font-size: 25px;";
const MONO = "font-family: 'DejaVu Sans Mono'; font-size: 21px;";

const SAMPLES = [
  {
    file: "letter.jpg",
    width: 800,
    height: 520,
    style: SERIF,
    turn: 0,
    quality: 0.8,
    lines: [
      "14 March 1874",
      "Dear Sir,",
      "Your parcel arrived this morning in good order. The three",
      "volumes are exactly as described, and the bindings are sound.",
      "I enclose a cheque for 42 pounds, with my thanks for the care",
      "that you have taken in packing them.",
      "Yours faithfully,",
      "Eleanor Whitcombe",
    ],
  },
  {
    file: "receipt.png",
    width: 420,
    height: 560,
    style: `${MONO} background: #fdfdf6;`,
    turn: 0,
    lines: [
      "CORNER BAKERY",
      "12 Mill Lane, Bristol",
      "2 x Sourdough    9.60",
      "1 x Croissant    2.35",
      "3 x Flat white  10.50",
      "Subtotal        22.45",
      "VAT 20%          4.49",
      "TOTAL           26.94",
      "Card **** 4821",
      "Thank you! Come again",
    ],
  },
  {
    file: "departures.webp",
    width: 900,
    height: 420,
    style: `${SANS} font-weight: bold; font-size: 34px; background: #10203a; color: #ffd34d;`,
    turn: 0,
    quality: 0.8,
    lines: [
      "Departures",
      "08:15 Edinburgh Waverley Platform 4",
      "08:27 Cambridge North Platform 11",
      "08:40 Leeds via Peterborough Platform 2",
      "09:05 Newcastle cancelled",
    ],
  },
  {
    file: "quarter-turn.jpg",
    width: 560,
    height: 760,
    style: SANS,
    turn: 90,
    quality: 0.75,
    lines: [
      "Assembly instructions, page 3 of 12",
      "Attach the left panel (A) to the base (C)",
      "with four screws. Do not tighten them yet.",
      "Slide the shelf into the grooves, then turn",
      "the frame over and fix the back board.",
      "Keep small parts away from children.",
    ],
  },
  {
    file: "on-its-head.jpg",
    width: 780,
    height: 460,
    style: `${SERIF} font-size: 27px;`,
    turn: 180,
    quality: 0.7,
    lines: [
      "The tide tables for the coming week",
      "High water at Dover is expected at 06:42",
      "and again at 19:08 on Thursday evening.",
      "Small craft should stay in the harbour",
      "until the gale warning has been lifted.",
    ],
  },
  {
    file: "three-quarters.png",
    width: 460,
    height: 640,
    style: `${MONO} font-size: 20px;`,
    turn: 270,
    lines: [
      "const answer = 6 * 7;",
      "for (const item of list) {",
      "console.log(item.name);",
      "return answer + offset;",
      "export default handler;",
      "// Nothing else to see here",
    ],
  },
  {
    file: "skewed.jpg",
    width: 860,
    height: 520,
    style: "font-family: 'DejaVu Serif'; font-size: 23px;",
    turn: 4,
    quality: 0.5,
    lines: [
      "Minutes of the annual meeting",
      "The treasurer reported a surplus of 1,250 euros.",
      "Repairs to the roof will begin in September.",
      "The members thanked the outgoing secretary,",
      "who has served the society for twenty years.",
      "The next meeting is on Tuesday, 9 June 2026.",
    ],
  },
  {
    file: "leaning.webp",
    width: 860,
    height: 540,
    style: "font-family: 'DejaVu Sans'; font-size: 24px; background: #f3ead7; color: #2b2118;",
    turn: -7,
    quality: 0.7,
    lines: [
      "Soup of the day with fresh bread 6.50",
      "Grilled trout, new potatoes 17.90",
      "Mushroom risotto with thyme 14.20",
      "Apple pie and vanilla ice cream 5.80",
      "House wine, red or white, per glass 4.40",
    ],
  },
  {
    file: "phone.jpg",
    width: 720,
    height: 500,
    style: `${SANS} font-size: 28px;`,
    turn: 0,
    quality: 0.75,
    orientation: 6,
    lines: [
      "CAUTION",
      "This door is alarmed.",
      "Use it in an emergency only.",
      "Report faults to extension 5527.",
      "Building services, second floor",
    ],
  },
  {
    file: "small-print.jpg",
    width: 1160,
    height: 420,
    style: "font-family: 'Liberation Sans'; font-size: 17px;",
    turn: 0,
    quality: 0.7,
    lines: [
      "The warranty covers defects in material and workmanship for a period of twenty-four months from the date of purchase.",
      "It does not cover damage that results from improper use, unauthorised repairs, or ordinary wear of moving parts.",
      "To make a claim, send the product with a copy of the receipt to one of the service centres that are listed overleaf.",
      "Repaired or replaced parts become the property of the manufacturer. Your statutory rights are not affected by this.",
      "For questions call 0800 555 0134 on weekdays between 9 a.m. and 5 p.m., or write to service@example.com at any time.",
    ],
  },
];

const WORDS = Array.from({ length: 5 }, (_, row) =>
  Array.from({ length: 10 }, (__, at) => ["abc", "defg", "hi", "jkl"][(3 * row + at) % 4]).join(
    " ",
  ),
);
const FOX =
  "The quick brown fox jumps over the lazy dog while 1234 clever badgers quietly watch from behind the old stone wall.";

const SMALL_WORDS = {
  width: 560,
  height: 132,
  body: `<p style="font: 11px/22px 'Liberation Sans'; word-spacing: 22px">${WORDS.join("<br>")}</p>`,
  lines: WORDS,
};

const LAYOUTS = [
  { file: "words.png", ...SMALL_WORDS },
  {
    file: "words-on-their-heads.png",
    ...SMALL_WORDS,
    body: `<div style="transform: rotate(180deg)">${SMALL_WORDS.body}</div>`,
  },
  {
    file: "table.png",
    width: 320,
    height: 120,
    body: `<table border="1" style="font: 18px 'Liberation Sans'; border-collapse: collapse">
      <tr><td>Name</td><td>Price</td><td>Left</td></tr>
      <tr><td>Apple</td><td>1.20</td><td>3</td></tr>
      <tr><td>Pear</td><td>0.95</td><td>12</td></tr>
    </table>`,
    lines: ["Name Price Left", "Apple 1.20 3", "Pear 0.95 12"],
  },
  {
    file: "strip.png",
    width: 3000,
    height: 60,
    body: `<p style="font: 24px 'Liberation Sans'; white-space: nowrap">${FOX} ${FOX}</p>`,
    lines: [`${FOX} ${FOX}`],
  },
];

const FOLDER = path.join(import.meta.dirname, "samples");

const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--font-render-hinting=none"],
});
const pages = [];
for (const sample of SAMPLES) {
  const page = await browser.newPage();
  pages.push({ file: sample.file, lines: await render(page, sample) });
  await page.close();
}
for (const { file, width, height, body } of LAYOUTS) {
  const page = await browser.newPage();
  await page.setViewportSize({ width, height });
  await page.setContent(`<style>* { margin: 0 } p { padding: 11px }</style>${body}`);
  await page.screenshot({ path: path.join(FOLDER, file) });
  await page.close();
}
await browser.close();
const layouts = LAYOUTS.map(({ file, lines }) => ({ file, lines }));
for (const [name, content] of [
  ["pages.json", pages],
  ["layouts.json", layouts],
]) {
  await writeFile(path.join(FOLDER, name), `${JSON.stringify(content, undefined, 1)}\n`);
}

async function render(page, sample) {
  const { width, height, style, lines, turn } = sample;
  const quarter = Math.round(turn / 90) * 90;
  const upended = quarter % 180 !== 0;
  const [across, high] = upended ? [height, width] : [width, height];
  await page.setViewportSize({ width: across, height: high });
  await page.setContent(`
    <body style="margin: 0; ${style}">
      <main style="position: absolute; width: ${width}px; height: ${height}px; box-sizing: border-box;
        padding: 36px 40px; left: ${(across - width) / 2}px; top: ${(high - height) / 2}px; line-height: 1.2">
        ${lines.map((line) => `<div style="width: fit-content; white-space: pre; margin-bottom: 18px">${line.replaceAll("<", "&lt;")}</div>`).join("")}
      </main>
    </body>`);
  const level = await page.evaluate(() =>
    Array.from(document.querySelectorAll("div"), (line) => {
      const { left, right, top, bottom } = line.getBoundingClientRect();
      return { left, right, top, bottom };
    }),
  );
  await page.evaluate((degrees) => {
    const main = document.querySelector("main");
    if (main !== null) main.style.transform = `rotate(${degrees}deg)`;
  }, turn);
  const png = (await page.screenshot()).toString("base64");
  await writeFile(path.join(FOLDER, sample.file), await encode(page, png, sample));
  const angle = (turn * Math.PI) / 180;
  const place = (x, y) => {
    const [dx, dy] = [x - across / 2, y - high / 2];
    return [
      Math.round(across / 2 + dx * Math.cos(angle) - dy * Math.sin(angle)),
      Math.round(high / 2 + dx * Math.sin(angle) + dy * Math.cos(angle)),
    ];
  };
  return level.map(({ left, right, top, bottom }, index) => ({
    text: lines[index],
    box: [place(left, top), place(right, top), place(right, bottom), place(left, bottom)],
  }));
}

async function encode(page, png, { file, quality, orientation }) {
  if (file.endsWith(".png")) return Buffer.from(png, "base64");
  const type = file.endsWith(".webp") ? "image/webp" : "image/jpeg";
  const url = await page.evaluate(
    async ([source, mediaType, level, isTurned]) => {
      const image = new Image();
      image.src = `data:image/png;base64,${source}`;
      await image.decode();
      const canvas = document.createElement("canvas");
      const context = canvas.getContext("2d");
      if (isTurned) {
        // What orientation 6 turns clockwise is stored turned the other way.
        [canvas.width, canvas.height] = [image.height, image.width];
        context?.translate(0, image.width);
        context?.rotate(-Math.PI / 2);
      } else {
        [canvas.width, canvas.height] = [image.width, image.height];
      }
      context?.drawImage(image, 0, 0);
      return canvas.toDataURL(mediaType, level);
    },
    [png, type, quality ?? 0.8, orientation === 6],
  );
  const bytes = Buffer.from(url.slice(url.indexOf(",") + 1), "base64");
  return orientation === undefined ? bytes : withOrientation(bytes, orientation);
}

/** Puts an EXIF segment behind the first two bytes of a JPEG. */
function withOrientation(jpeg, orientation) {
  const tiff = Buffer.from([
    0x4d,
    0x4d,
    0,
    42,
    0,
    0,
    0,
    8,
    0,
    1,
    0x01,
    0x12,
    0,
    3,
    0,
    0,
    0,
    1,
    0,
    orientation,
    0,
    0,
    0,
    0,
    0,
    0,
  ]);
  const body = Buffer.concat([Buffer.from("Exif\0\0", "latin1"), tiff]);
  const head = Buffer.from([0xff, 0xe1, 0, body.length + 2]);
  return Buffer.concat([jpeg.subarray(0, 2), head, body, jpeg.subarray(2)]);
}
