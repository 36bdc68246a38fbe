// Requests to the server, and sockets that connect again.

export class ApiError extends Error {}

async function checked(response) {
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error ?? message;
  } catch {
    // the answer has no JSON
  }
  throw new ApiError(message);
}

async function request(path, options) {
  try {
    return await checked(await fetch(path, options));
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    throw new ApiError("the studio does not answer; is 'convnet studio' still running?");
  }
}

export const get = async (path, signal) => (await request(path, { signal })).json();

export async function post(path, body, signal) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body ?? {}), signal };
  return (await request(path, options)).json();
}

export async function postForBytes(path, body, signal) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal };
  return (await request(path, options)).arrayBuffer();
}

export const getBytes = async (path, signal) => (await request(path, { signal })).arrayBuffer();
export const send = (path, body, signal) => request(path, { method: "POST", body, signal });

// An upload that says how much of it is sent.
export function upload(file, progress) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    sent.open("POST", `api/uploads?name=${encodeURIComponent(file.name)}`);
    sent.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    sent.onload = () => {
      const answer = JSON.parse(sent.responseText || "{}");
      sent.status === 200 ? resolve(answer.path) : reject(new ApiError(answer.error ?? sent.statusText));
    };
    sent.onerror = () => reject(new ApiError("the upload was interrupted"));
    sent.send(file);
  });
}

const FIRST_WAIT = 300;
const LONGEST_WAIT = 5000;

// A socket that connects again after a loss, until the signal is aborted or the server refuses it.
export function connect(path, { text, binary, opened, missing }, signal) {
  let socket = null;
  let wait = FIRST_WAIT;
  let timer = 0;
  const status = document.getElementById("connection");
  const open = () => {
    socket = new WebSocket(new URL(path, location.href.replace(/^http/, "ws").replace(/[?#].*$/, "")));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      wait = FIRST_WAIT;
      status.textContent = "";
      opened?.();
    };
    socket.onmessage = (event) => (typeof event.data === "string" ? text(JSON.parse(event.data)) : binary?.(event.data));
    socket.onclose = (event) => {
      if (event.code === 4404) missing?.();
      if (signal.aborted || event.code === 4404 || event.code === 4400) return;
      status.textContent = "Reconnecting …";
      timer = setTimeout(again, wait);
      wait = Math.min(2 * wait, LONGEST_WAIT);
    };
  };
  // A studio that was started again has another token and other jobs.
  const again = async () => {
    const answer = await fetch("api/start").catch(() => null);
    if (signal.aborted) return;
    if (answer?.status === 401) status.textContent = "The studio was restarted. Open the address that it printed.";
    else open();
  };
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    status.textContent = "";
    socket?.close();
  });
  open();
  return { send: (message) => socket?.readyState === WebSocket.OPEN && socket.send(typeof message === "string" ? message : JSON.stringify(message)) };
}
