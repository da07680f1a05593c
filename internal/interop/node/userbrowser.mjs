// A browser for clients that are not ours: it keeps cookies, follows redirects and fills in the form
// of a login page, until it is sent away from the server.
export class Browser {
  #cookies = new Map();
  #server;
  pages = 0; // forms that have been filled in

  constructor(server) {
    this.#server = server;
  }

  // Returns the URL that the browser is sent to in the end, or the page that it is left with.
  async walk(url, choice = {}) {
    let request = { url: new URL(url), method: 'GET' };
    for (let step = 0; step < 20; step++) {
      if (!request.url.href.startsWith(`${this.#server}/`)) {
        return { url: request.url };
      }
      const response = await this.#send(request);
      const location = response.headers.get('location');
      const page = await response.text();
      if (location) {
        request = { url: new URL(location, request.url), method: 'GET' };
      } else if (response.status === 200 && page.includes('<form')) {
        this.pages++;
        request = { url: request.url, method: 'POST', body: new URLSearchParams(choice) };
      } else {
        return { status: response.status, page };
      }
    }
    throw new Error('the browser is sent around in circles');
  }

  async #send({ url, ...request }) {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { ...request, redirect: 'manual', headers: cookie ? { cookie } : {} });
    for (const line of response.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split(/=(.*)/);
      if (value && !/max-age=0|max-age=-/i.test(line)) {
        this.#cookies.set(name, value);
      } else {
        this.#cookies.delete(name);
      }
    }
    return response;
  }
}
