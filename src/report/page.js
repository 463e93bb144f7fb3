// Pointing at a kernel, in the drawing or among the listings, lights up both.
for (const part of document.querySelectorAll("[data-kernel]")) {
  const both = document.querySelectorAll(`[data-kernel="${part.dataset.kernel}"]`);
  const light = (on) => both.forEach((other) => other.classList.toggle("on", on));
  part.addEventListener("pointerenter", () => light(true));
  part.addEventListener("pointerleave", () => light(false));
  part.addEventListener("focusin", () => light(true));
  part.addEventListener("focusout", () => light(false));
}
