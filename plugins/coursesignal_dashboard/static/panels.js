// Loads each plugin's panel on its own, so that a slow or broken one leaves the rest of the page alone.
document.querySelectorAll("[data-panel]").forEach(async (place) => {
  const body = place.querySelector(".panel-body");
  try {
    const answer = await fetch(place.dataset.panel, { headers: { accept: "text/html" } });
    const html = await answer.text();
    if (!answer.ok && answer.status !== 503) throw new Error(answer.statusText);
    body.innerHTML = html;
  } catch {
    body.textContent = "This part is not available right now. The rest of the page is not affected.";
  }
  place.removeAttribute("aria-busy");
});
