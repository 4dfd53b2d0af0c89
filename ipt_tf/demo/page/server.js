// Asks the page's server.

export async function about() {
  return (await fetch("about")).json();
}

export async function sample(name) {
  return new File([await (await fetch(`samples/${name}`)).blob()], name);
}

// Posts a file, and returns the response; throws an Error with the server's reason where it refuses.
export async function post(path, query, file, signal) {
  const address = `${path}?${new URLSearchParams({ ...query, name: file.name })}`;
  let response;
  try {
    response = await fetch(address, { method: "POST", body: file, signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The server does not answer. Is `ipt demo` still running?");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Error(error ?? `The server answered ${response.status}.`);
}
