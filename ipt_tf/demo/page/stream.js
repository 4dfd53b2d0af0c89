// The messages of a streamed answer: a line of JSON each, followed by as many bytes as its "bytes" says.

export async function* messages(response) {
  const bytes = new Bytes(response.body.getReader());
  for (let line; (line = await bytes.line()) !== null; ) {
    const message = JSON.parse(line);
    if (message.bytes) message.body = new Blob(await bytes.take(message.bytes), { type: "image/png" });
    yield message;
  }
}

class Bytes {
  #reader;
  #chunk = new Uint8Array();

  constructor(reader) {
    this.#reader = reader;
  }

  // The next line without its end, or null where there are no more.
  async line() {
    const parts = [];
    for (;;) {
      const end = this.#chunk.indexOf(10);
      parts.push(this.#cut(end < 0 ? this.#chunk.length : end));
      if (end >= 0) {
        this.#cut(1);
        return new Blob(parts).text();
      }
      if (!(await this.#more())) return null;
    }
  }

  // So many bytes, as a list of parts.
  async take(count) {
    const parts = [];
    for (let left = count; left > 0; left -= parts.at(-1).length) {
      if (!this.#chunk.length && !(await this.#more())) throw new TypeError("the answer ended early");
      parts.push(this.#cut(Math.min(left, this.#chunk.length)));
    }
    return parts;
  }

  #cut(count) {
    const part = this.#chunk.subarray(0, count);
    this.#chunk = this.#chunk.subarray(count);
    return part;
  }

  async #more() {
    const { done, value } = await this.#reader.read();
    if (!done) this.#chunk = value;
    return !done;
  }
}
