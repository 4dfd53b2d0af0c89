// Two pictures of one size, one above the other, with a line between them that mouse, finger and keys move, and zoom.

const CLOSEST = 16; // screen pixels per pixel of the picture
const LARGEST_FIT = 4; // a tiny picture is not blown up to fill the screen
const STEP = 1.25;
const NEAR = 28; // CSS pixels beside the line that take hold of it
const MOVE = 60; // CSS pixels per key press

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Compare {
  // Args: the element with the pictures, and a function that is told the zoom, in screen pixels per picture pixel.
  constructor(view, onZoom) {
    this.view = view;
    this.onZoom = onZoom;
    this.pictures = view.querySelector(".pictures");
    this.slider = view.querySelector(".slider");
    this.line = view.querySelector(".line");
    this.pointers = new Map();
    this.size(1, 1);
    this.slider.addEventListener("input", () => this.#draw());
    const events = { keydown: this.#key, pointerdown: this.#down, dblclick: this.#toggle, wheel: this.#wheel };
    for (const [name, answer] of Object.entries(events)) {
      view.addEventListener(name, (event) => this.slider.disabled || answer.call(this, event), { passive: false });
    }
    view.addEventListener("pointermove", (event) => this.#moved(event));
    for (const name of ["pointerup", "pointercancel"]) view.addEventListener(name, (event) => this.#up(event));
    new ResizeObserver(() => (this.fitted ? this.fit() : this.zoomTo(this.zoom))).observe(view);
  }

  // Says how large the pictures are, in their own pixels, and shows them whole.
  size(width, height) {
    [this.width, this.height] = [width, height];
    this.fit();
  }

  // Shows the pictures whole.
  fit() {
    this.fitted = true;
    this.zoom = this.#fitting();
    [this.x, this.y] = [0, 0];
    this.#draw();
  }

  // Shows one pixel of the pictures on each of the screen.
  oneToOne() {
    this.zoomTo(1 / devicePixelRatio);
  }

  zoomBy(factor) {
    this.zoomTo(this.zoom * factor);
  }

  // Zooms to CSS pixels per picture pixel, and keeps what is at (x, y) of the view where it is; default: the middle.
  zoomTo(zoom, x = this.view.clientWidth / 2, y = this.view.clientHeight / 2) {
    const fitting = this.#fitting();
    const next = clamp(zoom, fitting, Math.max(fitting, CLOSEST / devicePixelRatio));
    this.x = x - ((x - this.x) * next) / this.zoom;
    this.y = y - ((y - this.y) * next) / this.zoom;
    this.zoom = next;
    this.fitted = next === fitting;
    this.#draw();
  }

  #draw() {
    const { clientWidth, clientHeight } = this.view;
    const [width, height] = [this.width * this.zoom, this.height * this.zoom];
    this.x = within(this.x, width, clientWidth);
    this.y = within(this.y, height, clientHeight);
    const cut = this.#left() + (this.#seen() * this.slider.value) / 100;
    place(this.pictures, { left: this.x, top: this.y, width, height });
    place(this.line, { left: cut, top: Math.max(0, this.y), height: Math.min(height, clientHeight) });
    this.pictures.style.setProperty("--cut", `${(100 * (cut - this.x)) / width}%`);
    this.view.classList.toggle("zoomed", !this.fitted);
    this.pictures.classList.toggle("pixels", this.zoom * devicePixelRatio >= 3);
    this.onZoom(this.zoom * devicePixelRatio);
  }

  // Where the pictures begin in the view, and how much of its width they cover: the slider runs along that.
  #left() {
    return Math.max(0, this.x);
  }

  #seen() {
    return Math.min(this.view.clientWidth, this.x + this.width * this.zoom) - this.#left();
  }

  #fitting() {
    const { clientWidth, clientHeight } = this.view;
    const whole = Math.min(clientWidth / this.width, clientHeight / this.height);
    return Math.min(whole || 1, LARGEST_FIT / devicePixelRatio); // a hidden view has no size
  }

  #slideTo(x) {
    this.slider.value = clamp((100 * (x - this.#left())) / this.#seen(), 0, 100);
    this.#draw();
  }

  #pan(x, y) {
    this.x += x;
    this.y += y;
    this.#draw();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // those are the browser's
    const ways = { ArrowLeft: [MOVE, 0], ArrowRight: [-MOVE, 0], ArrowUp: [0, MOVE], ArrowDown: [0, -MOVE] };
    const [closer, back] = [() => this.zoomBy(STEP), () => this.zoomBy(1 / STEP)];
    const keys = { "+": closer, "=": closer, "-": back, 0: () => this.fit(), 1: () => this.oneToOne() };
    if (event.shiftKey && ways[event.key]) this.#pan(...ways[event.key]);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  }

  #at(event) {
    const box = this.view.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #down(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    const at = this.#at(event);
    this.pointers.set(event.pointerId, at);
    this.view.setPointerCapture(event.pointerId);
    this.slider.focus({ preventScroll: true });
    const near = Math.abs(at.x - parseFloat(this.line.style.left)) < NEAR;
    this.sliding = this.pointers.size === 1 && (this.fitted || near);
    if (this.sliding && !near) this.#slideTo(at.x);
  }

  #moved(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const at = this.#at(event);
    if (this.pointers.size === 2) this.#pinch(event.pointerId, before, at);
    else if (this.sliding) this.#slideTo(at.x);
    else this.#pan(at.x - before.x, at.y - before.y);
    this.pointers.set(event.pointerId, at);
  }

  #pinch(id, before, at) {
    const [, other] = [...this.pointers].find(([each]) => each !== id);
    const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    this.#pan((at.x - before.x) / 2, (at.y - before.y) / 2);
    const zoom = (this.zoom * distance(at)) / distance(before);
    this.zoomTo(zoom, (at.x + other.x) / 2, (at.y + other.y) / 2);
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
    this.sliding = false;
  }

  #toggle(event) {
    const { x, y } = this.#at(event);
    if (this.fitted) this.zoomTo(Math.max(1 / devicePixelRatio, 2 * this.zoom), x, y);
    else this.fit();
  }

  #wheel(event) {
    const { scrollHeight, clientHeight } = document.documentElement;
    if (scrollHeight > clientHeight + 1 && !event.ctrlKey) return; // then it scrolls; a pinch on a touchpad sends Ctrl
    event.preventDefault();
    const { x, y } = this.#at(event);
    this.zoomTo(this.zoom * Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), x, y);
  }
}

function place(element, lengths) {
  for (const [name, length] of Object.entries(lengths)) element.style[name] = `${length}px`;
}

// Where pictures begin that leave no gap but where they are smaller than the view; there they are in its middle.
function within(start, length, room) {
  return length <= room ? (room - length) / 2 : clamp(start, room - length, 0);
}
