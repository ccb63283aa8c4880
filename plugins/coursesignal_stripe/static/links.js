/* CourseSignal for Stripe: whoever leaves for a payment link, or pays in a buy button or pricing table, takes along who they are
   as client_reference_id, so that the sale finds the visit. Without permission the tracker gives no id, and nothing is added.
   Stripe takes letters, digits, - and _; an id that is there already stays. */
(() => {
  const own = /^(buy|donate|book)\.stripe\.com$/;
  const more = (document.currentScript?.dataset.hosts || "").split(/[\s,]+/).filter(Boolean);
  const visitor = () => window.CourseSignal?.visitorId();

  const carry = link => {
    const url = new URL(link.href), id = visitor();
    if (!id || !(own.test(url.hostname) || more.includes(url.hostname)) || url.searchParams.has("client_reference_id")) return;
    url.searchParams.set("client_reference_id", id);
    link.href = url;
  };
  const follow = event => {
    try {
      const link = event.composedPath().find(one => one.tagName == "A" && one.href);
      if (link) carry(link);
    } catch {}
  };
  for (const name of ["click", "auxclick"]) addEventListener(name, follow, true);

  /* These read their attributes when they are made ready: the id goes in as soon as both are there. */
  const mark = () => {
    try {
      const id = visitor();
      if (id) for (const one of document.querySelectorAll("stripe-buy-button:not([client-reference-id]),stripe-pricing-table:not([client-reference-id])"))
        one.setAttribute("client-reference-id", id);
    } catch {}
  };
  mark();
  addEventListener("load", mark);
  new MutationObserver(mark).observe(document, { childList: true, subtree: true });
})();
