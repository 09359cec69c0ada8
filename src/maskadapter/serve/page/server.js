/** What the server refused, in its own words. status: of HTTP; 0 where there was no answer. */
export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const TOKEN = "maskadapter-token";

/** The HTTP interface of this page's own server. Addresses are relative, so that a proxy may put it under a path. */
export class Server {
  #token = sessionStorage.getItem(TOKEN) ?? "";

  /** The token lives as long as the browser's tab. */
  set token(value) {
    this.#token = value;
    sessionStorage.setItem(TOKEN, value);
  }

  async #answer(path, options = {}) {
    const headers = new Headers(options.headers);
    if (this.#token) headers.set("Authorization", `Bearer ${this.#token}`);
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ServerError(0, "The server does not answer. Is it still running?");
    }
    if (!answer.ok) throw new ServerError(answer.status, await sentenceOf(answer));
    return answer;
  }

  async json(path, options) {
    return (await this.#answer(path, options)).json();
  }

  async blob(path, options) {
    return (await this.#answer(path, options)).blob();
  }

  /** body: FormData, or an object to be sent as JSON. */
  post(path, body, signal) {
    if (body instanceof FormData) return this.json(path, { method: "POST", body, signal });
    const headers = { "Content-Type": "application/json" };
    return this.json(path, { method: "POST", body: JSON.stringify(body), headers, signal });
  }
}

async function sentenceOf(answer) {
  const text = await answer.text();
  try {
    const { error } = JSON.parse(text);
    if (typeof error === "string") return error.charAt(0).toUpperCase() + error.slice(1);
  } catch {
    // not JSON: a proxy's page, of which the status says enough
  }
  return `The server answered with status ${answer.status}.`;
}
