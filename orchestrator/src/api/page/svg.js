// Elements of pictures.

const SVG = "http://www.w3.org/2000/svg";

/** An element of SVG with its attributes and children. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
