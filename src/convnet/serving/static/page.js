// The page of a server: drop an image, see what the model answers.
const byId = (id) => document.getElementById(id);
const [select, drop, file, photo, message, table, figure] =
  ["model", "drop", "file", "photo", "message", "answer", "picture"].map(byId);
let last = null;

function say(text, failed = false) {
  message.textContent = text;
  message.classList.toggle("error", failed);
}

function row(name, probability) {
  const line = document.createElement("tr");
  const label = document.createElement("td");
  label.textContent = name;
  const value = document.createElement("td");
  const bar = document.createElement("meter");
  bar.value = probability;
  bar.setAttribute("aria-label", `probability of ${name}`);
  const number = document.createElement("span");
  number.textContent = `${(100 * probability).toFixed(1)} %`;
  value.append(bar, number);
  line.append(label, value);
  return line;
}

function show(prediction, model, milliseconds) {
  const best = prediction.top ?? [];
  table.hidden = best.length === 0;
  table.tBodies[0].replaceChildren(...best.map((entry) => row(entry.class, entry.probability)));
  const picture = prediction.overlay ?? prediction.made;
  figure.hidden = picture === undefined;
  if (picture !== undefined) {
    figure.querySelector("img").src = `data:image/png;base64,${picture}`;
    const shares = Object.entries(prediction.classes ?? {});
    figure.querySelector("figcaption").textContent =
      shares.map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`).join(", ");
  }
  const labels = prediction.labels?.join(", ");
  const said = prediction.unknown ? "unknown: probably none of the classes" : (prediction.class ?? labels ?? "");
  say(`${said ? said + " · " : ""}${model.name} ${model.version}, ${milliseconds} ms`);
}

async function predict(image) {
  last = image;
  photo.src = URL.createObjectURL(image);
  photo.hidden = false;
  say("…");
  const begun = performance.now();
  try {
    const answer = await fetch(`v1/models/${encodeURIComponent(select.value)}/predict`, {
      method: "POST",
      headers: { "content-type": image.type.startsWith("image/") ? image.type : "application/octet-stream" },
      body: image,
    });
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    show(content.predictions[0], content.model, Math.round(performance.now() - begun));
  } catch (error) {
    table.hidden = figure.hidden = true;
    say(error.message, true);
  }
}

async function list() {
  const { models } = await (await fetch("v1/models")).json();
  const names = [...new Set(models.map((model) => model.name))];
  select.replaceChildren(...names.map((name) => new Option(name)));
}

photo.addEventListener("load", () => photo.classList.toggle("small", photo.naturalWidth < 100));
for (const type of ["dragenter", "dragover"]) {
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const type of ["dragleave", "drop"]) drop.addEventListener(type, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) predict(event.dataTransfer.files[0]);
});
file.addEventListener("change", () => file.files.length && predict(file.files[0]));
select.addEventListener("change", () => last && predict(last));
list().catch((error) => say(error.message, true));
