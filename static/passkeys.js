// Forms that a passkey fills in: <form data-passkey="create|get"> with a field "credential", and the server's options in
// the JSON script that data-options names, or at data-options-url. allauth's webauthn-json.js turns them into what the
// browser takes, and the answer back.

const supported = Boolean(window.PublicKeyCredential && navigator.credentials);

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (supported) form.hidden = false;
  else say(form, "This browser has no passkeys at this address. They need https, or localhost.");

  form.addEventListener("submit", async (event) => {
    if (form.elements.credential.value) return;
    event.preventDefault();
    if (!supported) return;
    const button = form.querySelector("button:not([type=button])");
    button.disabled = true;
    say(form, "");
    try {
      form.elements.credential.value = JSON.stringify(await ask(form));
      form.requestSubmit(); // With an answer in it, it is let through.
    } catch (error) {
      say(form, reason(error));
      button.disabled = false;
    }
  });
}

// Boxes that stand in another form and count for this one as well: <input data-also="id of this form">.
addEventListener("formdata", ({ target, formData }) => {
  if (!target.id) return;
  for (const box of document.querySelectorAll(`[data-also="${target.id}"]:checked`)) formData.append(box.name, box.value);
});

async function ask(form) {
  const options = await readOptions(form);
  if (form.dataset.passkey === "get") return webauthnJSON.get(options);
  const selection = (options.publicKey.authenticatorSelection ??= {});
  const alone = form.elements.passwordless.checked;
  // To sign in with it alone, it has to know whose it is, and who holds it.
  selection.residentKey = alone ? "required" : "discouraged";
  selection.requireResidentKey = alone;
  if (alone) selection.userVerification = "required";
  return webauthnJSON.create(options);
}

async function readOptions(form) {
  const { options, optionsUrl } = form.dataset;
  if (options) return JSON.parse(document.getElementById(options).textContent);
  const response = await fetch(optionsUrl, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`The server answered with an error (${response.status}). Try again in a minute.`);
  return (await response.json()).request_options;
}

function say(form, text) {
  const trouble = form.querySelector("[data-passkey-trouble]");
  trouble.textContent = text;
  trouble.hidden = !text;
}

function reason(error) {
  switch (error.name) {
    case "NotAllowedError": return "No passkey was used: it was cancelled, took too long, or there is none here.";
    case "InvalidStateError": return "This passkey is added already.";
    case "SecurityError": return "The browser allows no passkey at this address.";
    default: return error.message;
  }
}

// Back to a page that was left by its form: the answer in it was used.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.elements.credential.value = "";
    form.querySelector("button:not([type=button])").disabled = false;
  }
});
