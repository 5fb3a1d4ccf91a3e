// Swagger UI as this service needs it. A file of its own, because the page's Content-Security-Policy allows no inline
// script.
"use strict";

const documentAddress = new URL("../openapi.json", document.currentScript.src);

// Dark where the system is.
const darkness = matchMedia("(prefers-color-scheme: dark)");
const followSystem = () => document.documentElement.classList.toggle("dark-mode", darkness.matches);
darkness.addEventListener("change", followSystem);
followSystem();

// What the page shows of the document: the answer that one wants, errors in a line each, and no rules by which the page
// would refuse a value before the service can say in its own words what is wrong with it.
function shown(api) {
  for (const response of Object.values(api.components.responses)) {
    const content = Object.values(response.content ?? {})[0];
    const codes = Object.keys(content?.examples ?? {}).map((code) => `[${code}](docs/guides/errors#${code})`);
    response.description = codes.join(", ") || response.description;
    delete response.content;
    delete response.headers;
  }
  for (const operation of Object.values(api.paths).flatMap(Object.values)) {
    for (const { schema } of operation.parameters ?? []) {
      for (const rule of ["pattern", "format", "minLength", "maxLength", "minimum", "maximum", "maxItems"]) {
        delete schema[rule];
        delete schema.items?.[rule];
      }
    }
    for (const { headers = {} } of Object.values(operation.responses)) {
      for (const name of Object.keys(headers)) {
        if ("$ref" in headers[name]) delete headers[name];
      }
    }
  }
  // The service knows no scopes of people: what a token may do is decided by who has it.
  api.components.securitySchemes.bearer.flows.password.scopes = {};
  return api;
}

let refusal = null;

function received(response) {
  if (response.url === documentAddress.href && response.ok) {
    response.text = JSON.stringify(shown(JSON.parse(response.text)));
  } else if (response.url.endsWith("/auth/login")) {
    refusal = response.ok ? null : JSON.parse(response.text).detail;
  }
  return response;
}

// For those who hear the page or use it by keyboard: what Swagger UI leaves out.
const LEFT_OUT = {
  "tr[data-param-name] select": (select) => ({ "aria-label": select.closest("tr").dataset.paramName }),
  "textarea.body-param__text": () => ({ "aria-label": "Request body" }),
  "table.responses-table[id]": (responses) => ({ "aria-label": responses.id }),
  ".information-container": () => ({ "aria-label": "About this service", role: "region" }),
  ".errors-wrapper": () => ({ "aria-label": "Errors", role: "region" }),
  ".filter-container": () => ({ role: "search" }),
  ".dialog-ux": () => ({ "aria-label": "Sign in", "aria-modal": true, role: "dialog" }),
  ".close-modal": () => ({ "aria-label": "Close" }),
  // A button is called by the word that it shows.
  "button.auth[aria-label]": ({ ariaLabel, textContent }) => ({
    "aria-label": ariaLabel.startsWith(textContent) ? ariaLabel : `${textContent}: ${ariaLabel}`,
  }),
  // Without a gap between their levels.
  ":is(h3, h4, h5, h6)": (heading) => ({ "aria-level": Math.min(heading.tagName[1] - 1, 4) }),
  // Long examples scroll.
  "pre.microlight": () => ({ tabindex: 0 }),
};

function complete() {
  for (const [selector, attributesOf] of Object.entries(LEFT_OUT)) {
    for (const element of document.querySelectorAll(selector)) {
      for (const [name, value] of Object.entries(attributesOf(element))) element.setAttribute(name, value);
    }
  }
}
new MutationObserver(complete).observe(document.body, { childList: true, subtree: true });

const Taller = (system) => ({
  components: {
    // Swagger UI puts a link into each operation's button, which is one more stop for the keyboard.
    DeepLink: ({ text }) => system.React.createElement("span", null, text),
  },
  statePlugins: {
    err: {
      wrapActions: {
        // Swagger UI says "Error: Unauthorized"; the service says why.
        newAuthErr: (original) => (error) => original({ ...error, message: refusal ?? error.message }),
      },
    },
  },
  fn: {
    // The filter looks at everything that is said of an operation, and not at the names of tags alone.
    opsFilter: (taggedOperations, phrase) =>
      taggedOperations
        .map((tag) =>
          tag.update("operations", (operations) =>
            operations.filter((item) => JSON.stringify(item).toLowerCase().includes(phrase.toLowerCase())),
          ),
        )
        .filter((tag) => tag.get("operations").size > 0),
  },
});

window.ui = SwaggerUIBundle({
  url: documentAddress.href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayOperationId: true,
  displayRequestDuration: true,
  filter: true,
  plugins: [Taller],
  responseInterceptor: received,
  tryItOutEnabled: true,
  validatorUrl: null,
});
