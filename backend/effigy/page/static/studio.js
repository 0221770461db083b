// SPDX-License-Identifier: Apache-2.0
// Picture, person, pose pad and controls. Of pictures that are asked for while one is painted only the newest counts.
const form = element.querySelector('.rig'), face = element.querySelector('.face'), note = element.querySelector('.note');
const pad = element.querySelector('.pad'), puck = element.querySelector('.puck'), save = element.querySelector('.save');
const reach = { yaw: Number(pad.dataset.yaw), pitch: Number(pad.dataset.pitch) };
const ranges = Object.fromEntries([...form.querySelectorAll('input[type=range]')].map(input => [input.name, input]));
const controls = Object.keys(ranges).filter(name => !['truncation', 'yaw', 'pitch', 'keep'].includes(name));
const looks = new Set([...form.querySelectorAll('.attributes input[type=range]')].map(input => input.name));
let asked = structuredClone(props.value), waiting = false, painting = false;

const clip = (value, bound) => Math.min(Math.max(value, -bound), bound);
const degrees = value => value.toFixed(1).replace('-', '−') + '°';

function put(name, value) {
  const input = ranges[name], text = name === 'yaw' || name === 'pitch' ? degrees(value) : value.toFixed(2).replace('-', '−');
  if (Number(input.value) !== value) input.value = value;
  input.nextElementSibling.textContent = text;
  input.setAttribute('aria-valuetext', text);
  input.style.setProperty('--at', 100 * (value - input.min) / (input.max - input.min) + '%');
}

// Ends are reached, and rest is easily found again.
function snapped({ value, min, max }) {
  if (value === min || value === max) return Number(value);
  return Math.abs(value) < 0.02 * (max - min) ? 0 : Math.round(100 * value) / 100;
}

function turn(yaw, pitch) {
  put('yaw', yaw);
  put('pitch', pitch);
  puck.style.left = 50 + 50 * clip(yaw / reach.yaw, 1) + '%';
  puck.style.top = 50 - 50 * clip(pitch / reach.pitch, 1) + '%';
  pad.setAttribute('aria-valuenow', yaw.toFixed(1));
  pad.setAttribute('aria-valuetext', `yaw ${degrees(yaw)}, pitch ${degrees(pitch)}`);
}

function fill() {
  form.elements.seed.value = asked.seed;
  put('truncation', asked.truncation);
  put('keep', asked.keep);
  for (const name of controls) put(name, asked.controls[name] ?? 0);
  if (asked.yaw !== null && asked.pitch !== null) turn(asked.yaw, asked.pitch);
  for (const choice of element.querySelectorAll('input[name=show]')) choice.checked = choice.value === asked.show;
}

function show(shown) {
  if (shown.problem) { note.textContent = shown.problem; return; }
  face.src = shown.src;
  face.alt = shown.words;
  save.href = shown.src;
  save.download = shown.file;
  if (asked.yaw === null || asked.pitch === null) turn(shown.yaw, shown.pitch);
  note.textContent = shown.clamped.length
    ? `${shown.clamped.join(', ')}: beyond what the model has learnt` : `${shown.milliseconds} ms`;
  element.dataset.painted = Number(element.dataset.painted ?? 0) + 1;
}

async function paint() {
  props.value = structuredClone(asked);
  waiting = true;
  if (painting) return;
  painting = true;
  while (waiting) {
    waiting = false;
    try { show(await server.look(asked)); }
    catch { note.textContent = 'The page\u2019s program does not answer. Is it still running?'; }
  }
  painting = false;
}

form.addEventListener('input', event => {
  const { name, value } = event.target;
  if (name === 'seed') {
    const seed = Number(value);
    if (value === '' || !Number.isInteger(seed) || seed < 0 || seed > 4294967295) return;
    asked.seed = seed;
  } else if (name === 'truncation' || name === 'keep') {
    asked[name] = Number(value);
    put(name, asked[name]);
  } else if (name === 'yaw' || name === 'pitch') {
    asked.yaw = Number(ranges.yaw.value);
    asked.pitch = Number(ranges.pitch.value);
    turn(asked.yaw, asked.pitch);
  } else {
    asked.controls[name] = snapped(ranges[name]);
    put(name, asked.controls[name]);
  }
  paint();
});

element.addEventListener('change', event => {
  if (event.target.name !== 'show') return;
  asked.show = event.target.value;
  paint();
});

form.elements.chance.addEventListener('click', async () => {
  asked.seed = await server.chance(asked);
  asked.yaw = asked.pitch = null;
  fill();
  paint();
});

form.elements.neutral.addEventListener('click', () => {
  asked.yaw = asked.pitch = null;
  asked.controls = Object.fromEntries(Object.entries(asked.controls).filter(([name]) => looks.has(name)));
  fill();
  paint();
});

function move(yaw, pitch) {
  asked.yaw = Math.round(10 * clip(yaw, reach.yaw)) / 10;
  asked.pitch = Math.round(10 * clip(pitch, reach.pitch)) / 10;
  turn(asked.yaw, asked.pitch);
  paint();
}

function drag(event) {
  const box = pad.getBoundingClientRect();
  move((2 * (event.clientX - box.left) / box.width - 1) * reach.yaw,
    (1 - 2 * (event.clientY - box.top) / box.height) * reach.pitch);
}

pad.addEventListener('pointerdown', event => { pad.setPointerCapture(event.pointerId); drag(event); });
pad.addEventListener('pointermove', event => { if (pad.hasPointerCapture(event.pointerId)) drag(event); });
pad.addEventListener('keydown', event => {
  const step = event.shiftKey ? 10 : 2;
  const [right, up] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key] ?? [0, 0];
  if (!right && !up) return;
  event.preventDefault();
  move(Number(ranges.yaw.value) + right, Number(ranges.pitch.value) + up);
});

// A photograph's pose, taken over from its tab.
watch('value', () => {
  if (JSON.stringify(props.value) === JSON.stringify(asked)) return;
  asked = structuredClone(props.value);
  fill();
  paint();
});

fill();
show(props.first);
