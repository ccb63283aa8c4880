/* CourseSignal tracker. Never throws into the page, sets nothing and sends nothing for people who opted out. */
(function (window, document) {
  "use strict";
  if (window.CourseSignal) return;

  var script = document.currentScript || document.querySelector("script[data-site]");
  if (!script) return;
  var site = script.getAttribute("data-site");
  var endpoint = new URL("/api/tracking/event", script.src).href;
  var ID = "cs_visitor", OUT = "cs_optout", QUEUE = "cs_queue";
  var MAX_QUEUED = 40, TWO_YEARS_S = 63072000;
  var lastAt = 0, lastUrl, memory = {}, underWay = {};

  /* Storage and cookies may be blocked: what cannot be kept lives as long as the page. */
  function storage(action, key, value) {
    try { return localStorage[action](key, value); } catch (e) { /* blocked */ }
  }
  function load(key) {
    var kept = storage("getItem", key);
    return kept == null ? memory[key] : kept;
  }
  function save(key, value) {
    memory[key] = value;
    storage("setItem", key, value);
  }
  function forget(key) {
    delete memory[key];
    storage("removeItem", key);
  }
  function readCookie(name) {
    var found = ("; " + document.cookie).split("; " + name + "=")[1];
    return found ? found.split(";")[0] : null;
  }
  function setCookie(name, value, age) {
    document.cookie = name + "=" + value + "; max-age=" + age + "; path=/; samesite=lax" + domain() +
      (location.protocol === "https:" ? "; secure" : "");
  }
  /* The widest domain the browser lets us set a cookie for, so that subdomains share the visitor. */
  var widest;
  function domain() {
    if (widest !== undefined) return widest;
    widest = "";
    var labels = location.hostname.split(".");
    for (var n = 2; n <= labels.length && !/^[\d.]+$/.test(location.hostname); n++) {
      var attempt = "; domain=" + labels.slice(-n).join(".");
      document.cookie = "cs_try=1; path=/" + attempt;
      if (readCookie("cs_try")) {
        document.cookie = "cs_try=; max-age=0; path=/" + attempt;
        widest = attempt;
        break;
      }
    }
    return widest;
  }

  function uuid() {
    if (window.crypto && crypto.randomUUID) return crypto.randomUUID();
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = bytes[6] & 15 | 64;
    bytes[8] = bytes[8] & 63 | 128;
    var hex = Array.from(bytes, b => (b + 256).toString(16).slice(1)).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }
  function optedOut() {
    return navigator.globalPrivacyControl === true || load(OUT) === "1" || readCookie(OUT) === "1";
  }
  function visitorId() {
    if (optedOut()) return null;
    var id = readCookie(ID) || load(ID);
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) id = uuid();
    setCookie(ID, id, TWO_YEARS_S);
    save(ID, id);
    return id;
  }

  /* Events not known to be stored wait here and are sent again with the same id, which stores nothing twice. */
  function queued() {
    try { return JSON.parse(load(QUEUE)) || []; } catch (e) { return []; }
  }
  function keep(events) {
    if (events.length) save(QUEUE, JSON.stringify(events.slice(-MAX_QUEUED))); else forget(QUEUE);
  }
  function settle(sent) {
    keep(queued().filter(event => !sent.some(done => done.eventId === event.eventId)));
  }
  function send(leaving) {
    var visitor = visitorId(), events = queued().filter(event => leaving || !underWay[event.eventId]);
    if (!events.length || !visitor) return;
    var body = JSON.stringify({ siteKey: site, visitorId: visitor, events: events });
    if (leaving && navigator.sendBeacon && navigator.sendBeacon(endpoint, body)) return settle(events);
    events.forEach(event => { underWay[event.eventId] = 1; });
    fetch(endpoint, { method: "POST", body: body, keepalive: true, credentials: "omit" }).then(answer => {
      /* Refused for good is settled too; too many and busy are tried again with the next event. */
      if (answer.status !== 429 && answer.status < 500) settle(events);
    }).catch(() => { /* tried again with the next event or page */ }).then(() => {
      events.forEach(event => { delete underWay[event.eventId]; });
    });
  }
  function record(type, fields) {
    if (optedOut()) return;
    lastAt = Math.max(Date.now(), lastAt + 1);
    fields.eventId = uuid();
    fields.type = type;
    fields.at = new Date(lastAt).toISOString();
    fields.url = location.href;
    keep(queued().concat(fields));
    send(false);
  }
  function pageview(referrer) {
    var url = location.href.split("#")[0];
    if (url === lastUrl) return;
    var title = document.title.slice(0, 1000), before = lastUrl;
    lastUrl = url;
    /* Half of a cut emoji would make the whole request unreadable. */
    record("pageview", { title: title.toWellFormed ? title.toWellFormed() : title, referrer: before || referrer || undefined });
  }

  /* Whatever goes wrong in here is not the page's problem. */
  function safely(action) {
    return function () {
      try { return action.apply(null, arguments); } catch (e) { return undefined; }
    };
  }
  function watch(name) {
    var original = history[name];
    history[name] = function () {
      var result = original.apply(this, arguments);
      setTimeout(safely(pageview), 0);
      return result;
    };
  }

  window.CourseSignal = {
    /* JSON leaves out what is undefined. */
    identify: safely((email, name) => { record("identify", { email: "" + email, name: name }); }),
    track: safely((name, props) => { record("custom", { name: "" + name, props: props }); }),
    visitorId: safely(visitorId),
    optOut: safely(() => {
      forget(QUEUE);
      forget(ID);
      setCookie(ID, "", 0);
      save(OUT, "1");
      setCookie(OUT, "1", TWO_YEARS_S);
    }),
    optIn: safely(() => {
      forget(OUT);
      setCookie(OUT, "", 0);
      lastUrl = undefined;
      pageview(document.referrer);
    })
  };

  safely(() => {
    pageview(document.referrer);
    watch("pushState");
    watch("replaceState");
    window.addEventListener("popstate", safely(() => { pageview(); }));
    document.addEventListener("visibilitychange", safely(() => {
      if (document.visibilityState === "hidden") send(true);
    }));
    window.addEventListener("pageshow", safely(event => {
      if (event.persisted) { lastUrl = undefined; pageview(document.referrer); }
    }));
  })();
})(window, document);
