// What is wrong with the looks of the page: texts that can hardly be read, and what is wider than the window. Run by the check.

const bytes = (colour) => colour.match(/[\d.]+/g).map(Number);
const luminance = (colour) => {
  const [red, green, blue] = bytes(colour).map((byte) => {
    const part = byte / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const contrast = (one, other) => {
  const [less, more] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (more + 0.05) / (less + 0.05);
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    const opacity = bytes(colour)[3] ?? 1;
    if (opacity === 1) return colour;
  }
  return "rgb(255, 255, 255)";
};

const wrong = [];
let texts = 0;
for (const element of document.body.querySelectorAll("*")) {
  if (element.closest("noscript, title") || !element.getClientRects().length) continue;
  const own = [...element.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE).map((child) => child.data.trim()).join("");
  const style = getComputedStyle(element);
  if (own) {
    texts += 1;
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const ratio = contrast(colour, behind(element));
    if (ratio < 4.5) wrong.push(`${own}: ${colour} on ${behind(element)} is ${ratio.toFixed(2)}`);
  }
  // The colour of a bar is beside its name, too, where it must be told from the ground.
  if (element.matches(".swatch")) {
    const ratio = contrast(style.backgroundColor, behind(element.parentElement));
    if (ratio < 3) wrong.push(`${element.className}: ${style.backgroundColor} is ${ratio.toFixed(2)}`);
  }
}
const { scrollWidth, clientWidth } = document.documentElement;
if (scrollWidth > clientWidth) wrong.push(`it is ${scrollWidth} pixels wide, in a window of ${clientWidth}`);
return { wrong, texts, ground: getComputedStyle(document.body).backgroundColor };
