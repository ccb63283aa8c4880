// Keeps the numbers marked data-live as they are now; without a connection they stay what the page had.
"use strict";
(function () {
  var section = document.querySelector("[data-stream]");
  if (!section || !window.EventSource) return;
  var state = section.querySelector("[data-live-state]");
  var source = new EventSource(section.getAttribute("data-stream"));

  function money(minor, currency) {
    var format = new Intl.NumberFormat("en", { style: "currency", currency: currency, currencyDisplay: "code" });
    var digits = format.resolvedOptions().maximumFractionDigits;
    var number = (minor / Math.pow(10, digits)).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return number + " " + currency;
  }

  function put(name, text) {
    var place = section.querySelector('[data-live="' + name + '"]');
    if (place && place.textContent !== text) place.textContent = text;
  }

  source.addEventListener("stats", function (event) {
    var stats = JSON.parse(event.data), figures = stats.figures;
    put("net", money(figures.netRevenueMinor, figures.currency));
    put("purchases", figures.purchases.toLocaleString("en"));
    put("students", figures.students.toLocaleString("en"));
    put("visitors", figures.visitors.toLocaleString("en"));
    put("conversion", figures.conversionRate === null ? "–" : figures.conversionRate.toFixed(1) + " %");
    put("now", stats.lastHour.visitorsNow.toLocaleString("en"));
    put("hour", stats.lastHour.purchases.toLocaleString("en"));
    if (state) state.textContent = "Live";
    if (stats.status === "completed") source.close();
  });
  source.onerror = function () { if (state) state.textContent = "Reconnecting…"; };
  window.addEventListener("pagehide", function () { source.close(); });
})();
