// Forms that Stripe has a hand in, in Stripe mode only. <form data-stripe="card"> has a card entered at Stripe's own fields
// and sends what Stripe calls that; <form data-stripe="bank"> has the bank ask its customer, and then lets the server look.
// Card numbers are in Stripe's frame and in nothing of ours.

for (const form of document.querySelectorAll("form[data-stripe]")) {
  const ours = window.Stripe?.(form.dataset.key);
  if (!ours) {
    say(form, "Stripe's script could not be loaded. Check the connection, or what blocks scripts, and load the page again.");
    form.addEventListener("submit", (event) => {
      if (!event.submitter?.hasAttribute("data-stripe-skip")) event.preventDefault();
    });
    continue;
  }
  const card = form.dataset.stripe === "card" ? ours.elements().create("card", { style: look() }) : null;
  card?.mount(form.querySelector("[data-stripe-card]"));

  let isDone = false;
  form.addEventListener("submit", async (event) => {
    if (isDone || event.submitter?.hasAttribute("data-stripe-skip")) return;
    event.preventDefault();
    const button = form.querySelector("button.primary");
    if (button.disabled) return;
    button.disabled = true;
    say(form, "");
    try {
      if (card) form.elements.setup.value = await enter(ours, card, form);
      else await ask(ours, form);
      isDone = true;
      form.requestSubmit();
    } catch (error) {
      say(form, error.message);
      button.disabled = false;
    }
  });
}

async function enter(ours, card, form) {
  const response = await fetch(form.dataset.entry, {
    method: "POST",
    headers: { Accept: "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
  });
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(told.error ?? `The server answered with an error (${response.status}). Try again in a minute.`);
  const { error } = await ours.confirmCardSetup(told.client_secret, { payment_method: { card } });
  if (error) throw new Error(error.message ?? String(error));
  return told.setup;
}

async function ask(ours, form) {
  // What the bank was told is the server's to find out: a refusal too is an answer.
  await ours.confirmCardPayment(form.dataset.secret);
}

function look() {
  const { color, fontFamily, fontSize } = getComputedStyle(document.body);
  return { base: { color, fontFamily, fontSize, "::placeholder": { color: "gray" } } };
}

function say(form, text) {
  const trouble = form.querySelector("[data-stripe-trouble]");
  trouble.textContent = text;
  trouble.hidden = !text;
}

// Back to a page that was left by its form: what it had was used.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
