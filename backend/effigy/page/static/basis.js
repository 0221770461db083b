// SPDX-License-Identifier: Apache-2.0
// The shape model, X(α) = mean + Σ α_k basis_k, as a mesh that turns.
const model = props.value, landmarks = model.mean.length / 3, alpha = model.names.map(() => 0);
const canvas = element.querySelector('canvas'), form = element.querySelector('.rig'), context = canvas.getContext('2d');
const list = element.querySelector('.coefficients'), turning = form.elements.turning;
const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
let yaw = 0.5, pitch = 0.1, turns = !still, last = 0;

model.names.forEach((name, k) => {
  const label = document.createElement('label');
  label.className = 'range';
  label.innerHTML = `<span title="moves a landmark by ${model.sizes[k]} % of the outer-eye distance">${name}</span>`
    + `<input type="range" min="${-model.reach}" max="${model.reach}" step="0.05" value="0" aria-label="${name}, in standard deviations">`
    + '<span class="value" aria-hidden="true">0.00</span>';
  list.append(label);
  label.querySelector('input').addEventListener('input', event => set(k, Number(event.target.value)));
});

function set(k, value) {
  const input = list.children[k].querySelector('input'), text = value.toFixed(2).replace('-', '−');
  alpha[k] = value;
  input.value = value;
  input.setAttribute('aria-valuetext', text);
  input.style.setProperty('--at', 100 * (value + model.reach) / (2 * model.reach) + '%');
  list.children[k].querySelector('.value').textContent = text;
  if (!turns) draw();
}

function shape() {
  const X = Float64Array.from(model.mean);
  alpha.forEach((a, k) => { if (a) model.basis[k].forEach((b, i) => { X[i] += a * b; }); });
  return X;
}

// R = Rx(−pitch) · Ry(yaw), seen without perspective: x to the right, y up, z to the viewer.
function turned(X) {
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  return Array.from({ length: landmarks }, (_, i) => {
    const [x, y, z] = [X[i], X[landmarks + i], X[2 * landmarks + i]], depth = cy * z - sy * x;
    return [cy * x + sy * z, cp * y + sp * depth, cp * depth - sp * y];
  });
}

function draw() {
  const size = canvas.clientWidth, pixels = Math.round(size * devicePixelRatio);
  if (!size) return;
  if (canvas.height !== pixels) canvas.width = canvas.height = pixels;
  const style = getComputedStyle(canvas), points = turned(shape()), scale = pixels / 3.1;
  const centre = pixels / 2, middle = pixels / 2 + scale * points.reduce((sum, p) => sum + p[1], 0) / landmarks;
  context.clearRect(0, 0, pixels, pixels);
  context.lineJoin = 'round';
  context.lineWidth = Math.max(1, pixels / 500);
  const at = ([x, y]) => [centre + scale * x, middle - scale * y];
  const faces = model.triangles.map(corners => corners.map(i => points[i]));
  faces.sort((a, b) => a[0][2] + a[1][2] + a[2][2] - b[0][2] - b[1][2] - b[2][2]);
  context.strokeStyle = style.getPropertyValue('--mesh-line');
  for (const [a, b, c] of faces) {
    const u = b.map((v, i) => v - a[i]), v = c.map((w, i) => w - a[i]);
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    const light = Math.abs(0.25 * n[0] + 0.45 * n[1] + 0.85 * n[2]) / (Math.hypot(...n) || 1);
    context.fillStyle = `hsl(24 ${style.getPropertyValue('--mesh-saturation')} ${28 + 52 * light}%)`;
    context.beginPath();
    [a, b, c].forEach((p, i) => context[i ? 'lineTo' : 'moveTo'](...at(p)));
    context.closePath();
    context.fill();
    context.stroke();
  }
  if (!model.triangles.length) for (const p of points) context.fillRect(...at(p), 3, 3);
  const moved = alpha.filter(a => a).length;
  const words = moved ? `The mean face moved by ${moved} of ${alpha.length} components` : 'The mean face';
  canvas.setAttribute('aria-label', `${words}, seen from ${Math.round(180 * yaw / Math.PI)} degrees`);
}

function tick(time) {
  if (!element.isConnected) return;
  if (turns && canvas.clientWidth) {
    yaw = 0.75 * Math.sin(time / 2400);
    draw();
  } else if (canvas.clientWidth !== last) draw();
  last = canvas.clientWidth;
  requestAnimationFrame(tick);
}

function stop(stopped) {
  turns = !stopped;
  turning.setAttribute('aria-pressed', String(turns));
}

turning.addEventListener('click', () => { stop(turns); draw(); });
form.elements.mean.addEventListener('click', () => { alpha.forEach((_, k) => set(k, 0)); draw(); });
form.elements.draw.addEventListener('click', () => {
  alpha.forEach((_, k) => {
    const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
    set(k, Math.round(20 * Math.min(Math.max(normal, -model.reach), model.reach)) / 20);
  });
  draw();
});
canvas.addEventListener('pointerdown', event => { canvas.setPointerCapture(event.pointerId); stop(true); });
canvas.addEventListener('pointermove', event => {
  if (!canvas.hasPointerCapture(event.pointerId)) return;
  yaw += event.movementX / 150;
  pitch = Math.min(Math.max(pitch + event.movementY / 150, -1.2), 1.2);
  draw();
});
canvas.addEventListener('keydown', event => {
  const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
  if (!step) return;
  event.preventDefault();
  stop(true);
  yaw += step[0];
  pitch = Math.min(Math.max(pitch + step[1], -1.2), 1.2);
  draw();
});
stop(still);
requestAnimationFrame(tick);
