/* CourseSignal tracker: never throws into the page, waits for nothing, and keeps and sends nothing without permission.

   It is written to be small once it is minified and compressed, and the build holds it to that: `let` throughout, for one
   keyword compresses better than two, and nothing said twice. docs/tracker.md says what it does. */
(() => {
  let attempt = action => { try { return action(); } catch {} };
  let safely = action => (...given) => attempt(() => action(...given));
  let on = (name, action) => addEventListener(name, safely(action), true);

  attempt(() => {
    if (window.CourseSignal) return;
    /* An attribute of the snippet counts without a value too: "" is set, undefined is not. */
    let { src, dataset: { site, consent, cookieless, outbound, forms } } = document.currentScript;
    let endpoint = new URL("/api/tracking/event", src);
    let ID = "cs_visitor", CHOICE = "cs_optout", QUEUE = "cs_queue", LINK = "cs_link";
    let arrivedAt = location.href, cookieDomain = "", told = {}, memory = {}, lastUrl, busy;

    /* Cookies and storage may be blocked, each on its own: what cannot be kept lives as long as the page. */
    let load = name =>
      attempt(() => document.cookie.match(name + "=([^;]+)")[1]) || attempt(() => localStorage[name]) || memory[name];
    let writeCookie = (name, value, age, domain) => {
      document.cookie = `${name}=${value};path=/;max-age=${age};domain=${domain}`;
    };
    let save = (name, value) => {
      memory[name] = value;
      if (cookieless != null && name != CHOICE) return;
      attempt(() => value ? localStorage[name] = value : delete localStorage[name]);
      if (name != QUEUE) attempt(() => {
        /* The widest domain that takes a cookie, so that subdomains share it; browsers refuse what is nobody's own. */
        let labels = location.hostname.split(".");
        for (let domain = labels.pop(); labels[0] && !cookieDomain;) {
          domain = labels.pop() + "." + domain;
          writeCookie("cs_t", 1, 1, domain);
          if (load("cs_t")) cookieDomain = domain;
        }
        writeCookie(name, value, value ? 6e7 : 0, cookieDomain);
      });
    };

    /* The File API promises that such an address ends in a random UUID, on pages without https too. */
    let uuid = () => URL.createObjectURL(new Blob).slice(-36);
    /* The choice is "1" for no and "0" for yes; without one, the site's setting holds. */
    let allowed = () => !document.prerendering && !navigator.globalPrivacyControl && (load(CHOICE) || consent != null) == 0;
    let visitorId = () => {
      if (!allowed()) return null;
      let id = load(ID);
      if (!/^.{36}$/.test(id)) id = uuid();
      save(ID, id);
      return id;
    };

    /* Events not known to be stored wait here and are sent again with the same id, which stores nothing twice. */
    let queued = () => attempt(() => JSON.parse(load(QUEUE))) || [];
    let keep = events => save(QUEUE, events[0] && JSON.stringify(events.slice(-50)));
    let send = async leaving => {
      let events = queued(), visitor = visitorId();
      if (!events[0] || !visitor) return;
      let body = JSON.stringify({ events, siteKey: site, visitorId: visitor, sentAt: new Date });
      /* Nobody hears the answer to a beacon: what it carried is sent again by the next page. */
      if (leaving && navigator.sendBeacon?.(endpoint, body) || busy) return;
      busy = 1;
      try {
        /* Browsers keep 64 KB alive at most. */
        let answer = await fetch(endpoint, { method: "POST", body, keepalive: !body[6e4] });
        /* Refused for good is settled too; too many and busy are tried again with the next event. */
        if (answer.status < 429) {
          keep(queued().filter(({ eventId }) => !body.includes(eventId)));
          told = await answer.json();
          if (allowed() && told.visitorId) save(ID, told.visitorId);
          setTimeout(send);
        }
      } catch {}
      busy = 0;
    };
    let record = (type, fields) => {
      if (!allowed()) return;
      keep([...queued(), { type, eventId: uuid(), at: new Date, url: arrivedAt || location.href, ...fields }]);
      arrivedAt = "";
      return send();
    };
    /* One per address; one that was not allowed is made up for when it is. */
    let pageview = () => {
      let url = location.href.split("#")[0];
      if (url != lastUrl && record("pageview", { title: document.title, referrer: lastUrl || document.referrer })) lastUrl = url;
    };
    let choose = choice => {
      save(CHOICE, choice);
      pageview();
    };

    /* Whoever leaves for another domain of the site takes along who they are, signed by the server. */
    let carry = (element, key) => {
      let url = new URL(element[key]);
      if (!told.link || !RegExp(told.hosts).test(url.hostname)) return;
      url.searchParams.set(LINK, told.link);
      element[key] = url;
      /* Such a form drops the query of its address. */
      if (element.method == "get") element.insertAdjacentHTML("beforeend", `<input type=hidden name=${LINK} value=${told.link}>`);
    };
    let follow = ({ target }) => {
      let link = target.closest("a");
      if (outbound != null && link.hostname && link.hostname != location.hostname)
        record("custom", { name: "outbound", props: { url: link.href } });
      carry(link, "href");
    };

    window.CourseSignal = {
      identify: safely((email, name) => record("identify", { email: "" + email, name })),
      track: safely((name, props) => record("custom", { name: "" + name, props })),
      visitorId: safely(visitorId),
      consent: safely(() => load(CHOICE) || choose("0")),
      optIn: safely(() => choose("0")),
      optOut: safely(() => {
        told = {};
        save(QUEUE);
        save(ID);
        choose("1");
      })
    };

    /* The first page view still takes the address as it was, with the parameter in it: the server reads it there. */
    let url = new URL(arrivedAt);
    url.searchParams.delete(LINK);
    if (arrivedAt.includes(LINK)) history.replaceState(null, "", url);
    pageview();
    ["pushState", "replaceState"].map(name => {
      let original = history[name];
      history[name] = (...given) => {
        setTimeout(safely(pageview));
        return original.call(history, ...given);
      };
    });
    on("popstate", pageview);
    on("prerenderingchange", pageview);
    on("pageshow", ({ persisted }) => persisted && pageview(lastUrl = ""));
    on("visibilitychange", () => document.hidden && send(true));
    on("click", follow);
    on("auxclick", follow);
    on("submit", ({ target }) => {
      let field = forms != null && [...target].find(
        input => /^[^h].*mail\S*@/i.test(input.type + input.name + input.value));
      if (field) record("identify", { email: field.value });
      carry(target, "action");
    });
  });
})();
