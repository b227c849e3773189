// Draws the Gaussians of each figure of the class "model" as shaded balls: turned by dragging or by the
// arrow keys, moved along the path by the slider. Plain canvas: it opens everywhere, without network.
"use strict";
for (const figure of document.querySelectorAll("figure.model")) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const canvas = figure.querySelector("canvas");
  const slider = figure.querySelector("input");
  const told = figure.querySelector("output");
  const button = figure.querySelector("button");
  const pen = canvas.getContext("2d");
  const count = data.gaussians;
  const last = data.steps - 1;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let turn = [1, 0, 0, 0, 1, 0, 0, 0, 1];  // rows: right, up, towards the reader
  let zoom = 1, playing = 0, direction = 1, before = 0;
  const along = () => last * slider.value / slider.max;
  const resting = [164, 171, 178], moving = [213, 94, 0];

  function ball(color) {
    const size = 64, made = document.createElement("canvas");
    made.width = made.height = size;
    const ink = made.getContext("2d");
    const light = ink.createRadialGradient(0.38 * size, 0.34 * size, 0, 0.5 * size, 0.5 * size, 0.5 * size);
    const tone = (f) => "rgb(" + color.map((c) => Math.round(Math.min(255, c * f))).join(",") + ")";
    light.addColorStop(0, tone(1.25));
    light.addColorStop(0.6, tone(1));
    light.addColorStop(1, tone(0.62));
    ink.fillStyle = light;
    ink.beginPath();
    ink.arc(size / 2, size / 2, size / 2 - 1, 0, 2 * Math.PI);
    ink.fill();
    return made;
  }
  const balls = [...Array(11).keys()].map((n) =>
    ball(resting.map((c, k) => c + (moving[k] - c) * n / 10)));

  function draw() {
    const edge = Math.round(canvas.clientWidth * (devicePixelRatio || 1)) || 480;
    if (canvas.width !== edge) canvas.width = canvas.height = edge;
    const place = along(), from = Math.min(Math.floor(place), Math.max(last - 1, 0));
    const to = Math.min(from + 1, last), part = place - from;
    const mix = (list, index, size, offset) =>
      (1 - part) * list[from * size + index + offset] + part * list[to * size + index + offset];
    const scale = 0.92 * edge / 2 / data.reach * zoom;
    const shown = [];
    for (let n = 0; n < count; n++) {
      const x = mix(data.center, 3 * n, 3 * count, 0) / 10;
      const y = mix(data.center, 3 * n, 3 * count, 1) / 10;
      const z = mix(data.center, 3 * n, 3 * count, 2) / 10;
      const mass = mix(data.mass, n, count, 0) / 100;
      if (mass < 0.01) continue;
      shown.push([
        turn[0] * x + turn[1] * y + turn[2] * z, turn[3] * x + turn[4] * y + turn[5] * z,
        turn[6] * x + turn[7] * y + turn[8] * z, mass, mix(data.moving, n, count, 0),
      ]);
    }
    shown.sort((a, b) => a[2] - b[2]);
    pen.clearRect(0, 0, edge, edge);
    const typical = 0.9 * data.reach / Math.cbrt(count);
    for (const [x, y, z, mass, share] of shown) {
      const radius = Math.max(1, 1.25 * typical * Math.cbrt(mass) * scale);
      // What lies behind is fainter, as in a mist.
      pen.globalAlpha = Math.min(1, Math.max(0.3, 0.72 + 0.4 * z / data.reach));
      pen.drawImage(balls[Math.round(share / 10)], edge / 2 + x * scale - radius,
        edge / 2 - y * scale - radius, 2 * radius, 2 * radius);
    }
    pen.globalAlpha = 1;
    const steps = [5, 10, 20, 50, 100, 200], wanted = 0.5 * data.reach / zoom;
    const bar = steps.filter((value) => value <= wanted).pop() || 2;
    pen.fillStyle = dark.matches ? "#9aa5af" : "#5c6670";
    pen.fillRect(0.04 * edge, 0.955 * edge, bar * scale, Math.max(2, edge / 240));
    pen.font = Math.round(edge / 30) + "px system-ui, sans-serif";
    pen.fillText(bar + " Å", 0.04 * edge, 0.94 * edge);
    told.textContent = "state " + (place + 1).toFixed(1) + " of " + data.steps;
  }

  function rotate(right, up) {
    for (const [angle, a, b] of [[right, 0, 6], [up, 3, 6]]) {
      const c = Math.cos(angle), s = Math.sin(angle);
      for (let k = 0; k < 3; k++) {
        const p = turn[a + k], q = turn[b + k];
        turn[a + k] = c * p + s * q;
        turn[b + k] = c * q - s * p;
      }
    }
    draw();
  }

  function play(now) {
    const gone = before ? now - before : 0;
    before = now;
    let value = Number(slider.value) + direction * gone / 3000 * slider.max;
    if (value >= slider.max || value <= 0) direction = value <= 0 ? 1 : -1;
    slider.value = value;
    draw();
    playing = requestAnimationFrame(play);
  }

  function toggle() {
    if (playing) cancelAnimationFrame(playing);
    before = 0;
    playing = playing ? 0 : requestAnimationFrame(play);
    button.textContent = playing ? "Pause" : "Play";
  }

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) rotate(event.movementX / 150, -event.movementY / 150);
  });
  canvas.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (ways[event.key]) rotate(...ways[event.key]);
    else if (event.key === "+" || event.key === "=") { zoom = Math.min(4, zoom * 1.15); draw(); }
    else if (event.key === "-") { zoom = Math.max(0.5, zoom / 1.15); draw(); }
    else return;
    event.preventDefault();
  });
  slider.addEventListener("input", draw);
  button.addEventListener("click", toggle);
  addEventListener("resize", draw);
  dark.addEventListener("change", draw);
  addEventListener("beforeprint", draw);
  figure.hidden = false;
  if (still.matches) button.hidden = true;
  draw();
}
