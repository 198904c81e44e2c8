// What the page does beyond plain forms: uploads at once, live progress, two videos in step.
// All sentences come from the server, in data attributes or in pages that are fetched again.

const root = document.body.dataset.root;
const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const csrf = () => find("input[name=csrf]").value;

function clock(seconds) {
  const whole = Math.max(Math.round(seconds) || 0, 0);
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

// As `rate` of rendering.py.
const rate = (value) => value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2);

// A page as the server renders it now; null if it cannot be had.
async function fetchPage(url) {
  try {
    // Before pictures that wait for the same few connections, and not for ever
    const answer = await fetch(url, {
      headers: { Accept: "text/html" }, priority: "high", signal: AbortSignal.timeout(20000),
    });
    if (!answer.ok || answer.redirected) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return null;
  }
}

// Put a newer state of an element in its place, and keep what a person does with it.
function swap(selector, page) {
  const old = find(selector), fresh = page && find(selector, page);
  if (!old || !fresh) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const open = all("details[open]", old).map((one) => one.id);
  const checked = all("input:checked", old).map((one) => one.id);
  const adopted = document.adoptNode(fresh);
  for (const id of open) find(`#${CSS.escape(id)}`, adopted)?.setAttribute("open", "");
  old.replaceWith(adopted);
  if (adopted.matches("[data-rows]")) {
    for (const id of checked) {
      const box = document.getElementById(id);
      if (box) box.checked = true;
    }
  }
  showLocalTimes(adopted);
  if (focused) (document.getElementById(focused) ?? find("main")).focus({ preventScroll: true });
}

function showLocalTimes(within) {
  for (const time of all("time[title]", within)) {
    time.title = new Date(time.dateTime).toLocaleString(document.documentElement.lang);
  }
}

// Call a function again and again as events ask for it, but at most so often, and only while seen;
// once more if it says false, as what it wanted could not be had.
function paced(milliseconds, act) {
  let due = false, busy = false;
  const run = async () => {
    due = true;
    if (busy || document.hidden) return;
    busy = true;
    try {
      while (due && !document.hidden) {
        due = false;
        due = (await act()) === false || due;
        await wait(milliseconds);
      }
    } finally {
      busy = false;
    }
  };
  document.addEventListener("visibilitychange", run);
  return run;
}

// Hear of changes for as long as the page is seen: browsers allow few connections to a server, and
// a stream begins with how things are.
function listen(url, heard, lost = () => {}) {
  let source, timer, ended = false;
  const open = () => {
    source?.close();
    if (ended || document.hidden) return;
    source = new EventSource(url);
    for (const kind of ["state", "progress", "removed"]) {
      source.addEventListener(kind, (event) => heard(kind, JSON.parse(event.data)));
    }
    source.onopen = () => { clearTimeout(timer); timer = 0; lost(false); };
    source.onerror = () => {
      timer ||= setTimeout(() => lost(true), 2500);
      // A refusal ends it for good; the server may have been started anew.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 5000);
    };
  };
  open();
  document.addEventListener("visibilitychange", open);
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => event.persisted && open());
  return () => { ended = true; open(); };
}

// Where a slider is, and how much of it is filled.
function setPosition(slider, video, text) {
  const share = video.currentTime / video.duration || 0;
  slider.value = share * 1000;
  slider.style.setProperty("--at", `${share * 100}%`);
  slider.setAttribute("aria-valuetext", text);
}

function seek(video, slider) {
  video.currentTime = (slider.value / 1000) * video.duration;
}

function setToggle(button, on, label) {
  const [first, second] = all("[data-when]", button);
  first.hidden = on;
  second.hidden = !on;
  button.setAttribute("aria-label", label);
}

// Make

function make(form) {
  const parts = ["source", "driving"];
  const uploads = {};
  const chosen = (part) => find(`input[type=radio][name=${part}]:checked`, form)?.value ?? "";
  const card = (part) => find(`#${part}-card`);
  const ready = find("[data-ready]", form);
  let checks = 0, samples = [];

  for (const part of parts) prepare(part);
  if (chosen("source") && chosen("driving")) check();

  function prepare(part) {
    const box = card(part);
    for (const input of all("input[type=file]", box)) {
      input.addEventListener("change", () => input.files[0] && upload(part, input.files[0]));
    }
    for (const input of all("input[type=radio]", box)) {
      input.addEventListener("change", async () => {
        uploads[part]?.abort();
        await show(part);
        check();
      });
    }
    find("[data-stage]", box).addEventListener("click", (event) => {
      if (event.currentTarget.classList.contains("empty")) find("input[type=file]", box).click();
    });
    if (part === "driving") preparePlayer(box);
  }

  // A small player in place of the browser's own, whose moments can be taken as start and end.
  function preparePlayer(box) {
    const video = find("[data-video]", box), mini = find("[data-mini]", box);
    const position = find("[data-position]", mini), play = find("[data-play]", mini);
    const moments = find("[data-moments]");
    const outline = find("[data-outline]", box);
    video.controls = false;
    const there = () => { mini.hidden = video.hidden || !video.duration; moments.hidden = mini.hidden; };
    const follow = () => {
      setPosition(position, video, clock(video.currentTime));
      find("[data-time]", mini).value = clock(video.currentTime);
      outline.classList.toggle("faint", !samples.length && video.currentTime > 0.1);
      if (samples.length) drawFace(outline, faceAt(video.currentTime));
      if (!video.paused) requestAnimationFrame(follow);
    };
    const toggle = () => (video.paused ? video.play().catch(() => {}) : video.pause());
    video.addEventListener("loadedmetadata", there);
    video.addEventListener("error", () => video.src && showStill(box));
    video.addEventListener("seeked", follow);
    for (const kind of ["play", "pause"]) {
      video.addEventListener(kind, () => {
        setToggle(play, !video.paused, video.paused ? play.dataset.playLabel : play.dataset.pauseLabel);
        follow();
      });
    }
    position.addEventListener("input", () => seek(video, position));
    play.addEventListener("click", toggle);
    video.addEventListener("click", toggle);
    there();
  }

  // Where the browser cannot show a video, the server's picture of it is shown.
  function showStill(box) {
    const video = find("[data-video]", box), image = find("[data-image]", box);
    video.hidden = true;
    find("[data-mini]", box).hidden = true;
    if (video.poster) image.src = video.poster;
    image.hidden = !video.poster;
  }

  function faceAt(seconds) {
    const after = samples.findIndex((one) => one.seconds >= seconds);
    if (after < 0) return samples.at(-1).face?.crop;
    const to = samples[after], from = samples[Math.max(after - 1, 0)];
    if (!from.face || !to.face || to.cut) return from.face?.crop;
    const between = (seconds - from.seconds) / (to.seconds - from.seconds);
    const share = Math.min(Math.max(between || 0, 0), 1);
    const mix = (name) => from.face.crop[name] + share * (to.face.crop[name] - from.face.crop[name]);
    return { x: mix("x"), y: mix("y"), side: mix("side") };
  }

  function drawFace(outline, crop) {
    outline.classList.toggle("faint", !crop);
    if (!crop) return;
    const { x, y, side: s } = crop, a = s * 0.18;
    const d = [
      `M${x} ${y + a}V${y}H${x + a}`, `M${x + s - a} ${y}H${x + s}V${y + a}`,
      `M${x + s} ${y + s - a}V${y + s}H${x + s - a}`, `M${x + a} ${y + s}H${x}V${y + s - a}`,
    ].join("");
    all("g", outline).slice(1).forEach((other) => other.remove());
    for (const path of all("path", outline)) path.setAttribute("d", d);
  }

  // Show a file at once, send it meanwhile, then have the server's view of it.
  function upload(part, file) {
    const box = card(part), said = box.dataset, progress = find("[data-progress]", box);
    const request = new XMLHttpRequest(), body = new FormData();
    uploads[part]?.abort();
    preview(part, file);
    progress.hidden = false;
    progress.removeAttribute("value");
    ready.textContent = fill(said.uploading, { name: file.name });
    body.append("file", file, file.name);
    request.upload.onprogress = (event) => { progress.value = (event.loaded / event.total) * 100; };
    request.upload.onload = () => {
      progress.removeAttribute("value");
      ready.textContent = said.checking;
    };
    request.responseType = "json";
    request.open("POST", form.dataset.files);
    request.setRequestHeader("X-CSRF-Token", csrf());
    const own = { abort: () => { delete uploads[part]; request.abort(); } };
    uploads[part] = own;
    own.result = new Promise((done) => { request.onloadend = done; }).then(async () => {
      if (uploads[part] !== own) return;
      delete uploads[part];
      const { id = "", detail = form.dataset.failed } = request.response ?? {};
      await show(part, id);
      ready.textContent = id ? fill(said.found, { name: file.name }) : "";
      if (!id) tell(card(part), detail);
      check();
    });
    request.send(body);
  }

  function tell(box, sentence) {
    find("[data-error]", box).textContent = sentence;
  }

  function preview(part, file) {
    const box = card(part), video = find("[data-video]", box), image = find("[data-image]", box);
    const moving = video && file.type.startsWith("video/");
    const shown = moving ? video : image, other = moving ? image : video;
    if (other) { other.hidden = true; other.removeAttribute("src"); }
    if (moving) { video.removeAttribute("poster"); samples = []; }
    shown.src = URL.createObjectURL(file);
    shown.hidden = false;
    shown.onerror = () => { shown.hidden = true; };
    if (!moving) shown.alt = fill(image.dataset.alt, { name: file.name });
    tell(box, "");
    for (const radio of all("input[type=radio]", box)) radio.checked = false;
    find("[data-outline]", box).setAttribute("hidden", "");
    find("[data-blank]", box).hidden = true;
    find("[data-stage]", box).classList.remove("empty");
    find("[data-facts]", box).textContent = "";
    all(".findings li", box).forEach((one) => one.remove());
  }

  // Have the server render a part's card anew, with a file or, for "", without one.
  async function show(part, id = chosen(part)) {
    const page = await fetchPage(addressWith({ [part]: id }));
    if (uploads[part]) return;
    if (page === null) return tell(card(part), form.dataset.failed);
    if (part === "driving") samples = [];
    for (const one of all("[src^=blob]", card(part))) release(one);
    swap(`#${part}-card`, page);
    history.replaceState(null, "", addressWith({}));
    prepare(part);
  }

  // Let go of a file that was shown; a video would still ask for its parts.
  function release(shown) {
    const address = shown.src;
    shown.removeAttribute("src");
    shown.load?.();
    URL.revokeObjectURL(address);
  }

  // The address of this page with the files that are chosen.
  function addressWith(others) {
    const ids = { source: chosen("source"), driving: chosen("driving"), ...others };
    const given = Object.entries(ids).filter(([, value]) => value);
    return `${root}/${given.length ? "?" : ""}${new URLSearchParams(given)}`;
  }

  // What the check says of both files, in the background.
  async function check() {
    const mine = ++checks, ids = { source: chosen("source"), driving: chosen("driving") };
    if (!ids.source || !ids.driving || find(".options [aria-invalid]", form)) return;
    ready.textContent = form.dataset.checking;
    const asked = { ...ids };
    for (const input of all(".options [name]", form)) {
      const { name, value, type } = input;
      const ofFarm = ["priority", "key", "webhook", "audio"].includes(name);
      if (!value || ofFarm || (type === "radio" && !input.checked)) continue;
      const orWord = name.endsWith("face") || name === "crf" || name === "size";
      const numeric = type === "number" || (orWord && /^\d+$/.test(value));
      asked[name] = numeric ? Number(value) : value;
    }
    let answer = null, refusal = "";
    try {
      const response = await fetch(form.dataset.check, {
        method: "POST", body: JSON.stringify(asked),
        headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf() },
      });
      if (response.ok) answer = await response.json();
      else if (response.status === 422) refusal = (await response.json()).detail;
    } catch {
      // Without a check a job can be submitted all the same.
    }
    if (mine !== checks) return;
    ready.textContent = "";
    if (refusal) complain(refusal);
    if (answer === null) return;
    for (const list of all(".findings", form)) list.replaceChildren();
    for (const found of answer.findings) {
      const list = find(found.about ? `#${found.about}-findings` : "#findings");
      const item = find(`.finding.${found.level}`, find("template#finding").content).cloneNode(true);
      find("[data-message]", item).textContent = inWords(found.message);
      find("[data-advice]", item).textContent = inWords(found.advice);
      list.append(item);
    }
    if (!answer.findings.some((one) => one.level !== "note")) ready.textContent = form.dataset.fine;
    samples = answer.driving?.samples ?? [];
    if (answer.source) drawFace(find("[data-outline]", card("source")), answer.source.face.crop);
  }

  // What is wrong with an option is said beside its field; such sentences begin with its name.
  function complain(sentence) {
    const [start, name] = /^"?(\w+)"?/.exec(sentence) ?? [];
    const input = name && find(`.options [name=${name}]`, form);
    if (!input) return;
    const label = JSON.parse(form.dataset.labels)[name.replaceAll("_", "-")] ?? name;
    input.setAttribute("aria-invalid", "true");
    find(`#${name}-error`, form).textContent = label.replace(/[“”]/g, "") + sentence.slice(start.length);
  }

  // A sentence of the check with the page's names for the command's options.
  function inWords(sentence) {
    const labels = JSON.parse(form.dataset.labels);
    return sentence.replace(/--([a-z-]+)/g, (whole, name) => labels[name] ?? whole);
  }

  // Files may be dropped anywhere; a card that is meant takes what it gets.
  const over = (part) => {
    for (const one of all(".part")) one.classList.toggle("over", one.dataset.part === part);
  };
  const partOf = (file) => (file.type.startsWith("video/") || file.name.endsWith(".motion") ? "driving" : "source");
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    over(event.target.closest?.(".part")?.dataset.part);
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? over(""));
  addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    over("");
    const files = [...event.dataTransfer.files].slice(0, 2);
    const meant = files.length === 1 && event.target.closest?.(".part")?.dataset.part;
    for (const file of files) upload(meant || partOf(file), file);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) upload(partOf(file), file);
  });
  form.addEventListener("click", (event) => {
    const name = event.target.closest("[data-moment]")?.dataset.moment;
    if (!name) return;
    const input = find(`#option-${name}`);
    input.value = find("[data-video]").currentTime.toFixed(2);
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
  form.addEventListener("change", (event) => {
    if (!event.target.closest(".options")) return;
    event.target.removeAttribute("aria-invalid");
    const wrong = find(`#${event.target.name}-error`, form);
    if (wrong) wrong.textContent = "";
    check();
  });
  form.addEventListener("submit", async (event) => {
    const button = find("#submit");
    if (button.disabled) return event.preventDefault();
    const busy = Object.values(uploads).map((one) => one.result);
    const missing = parts.find((part) => !chosen(part) && !uploads[part]);
    if (missing) {
      event.preventDefault();
      find("#problem").hidden = false;
      find("#problem p").textContent = form.dataset.missing;
      find("#problem").scrollIntoView({ block: "nearest" });
      return find(`#${missing}-file`).focus();
    }
    button.disabled = true;
    button.dataset.label ||= button.textContent;
    button.textContent = form.dataset.submitting;
    if (!busy.length) return;
    event.preventDefault();
    await Promise.all(busy);
    restore();
    if (parts.every(chosen)) form.requestSubmit(button);
  });
  const restore = () => {
    const button = find("#submit");
    button.disabled = false;
    button.textContent = button.dataset.label ?? button.textContent;
  };
  addEventListener("pageshow", (event) => event.persisted && restore());
}

// Job

function job(article) {
  const said = article.dataset, stages = JSON.parse(said.stages);
  const title = document.title;
  let spoken = 0, close = () => {}, share = 0;
  prepareTheatre();
  if (["succeeded", "failed", "cancelled"].includes(said.state)) return;

  const refresh = paced(500, async () => {
    const page = await fetchPage(location.href);
    if (!page) return false;
    const state = find("#job", page)?.dataset.state;
    if (!state || state === find("#job").dataset.state) return;
    swap("#job", page);
    document.title = page.title;
    find("#live").textContent = find("#job-state .pill").textContent;
    prepareTheatre();
    if (["succeeded", "failed", "cancelled"].includes(state)) close();
  });
  close = listen(said.events, heard, (lost) => {
    const line = find("#lost");
    if (line) line.textContent = lost ? said.lost : "";
  });
  draw();

  function heard(kind, news) {
    if (kind === "removed") return location.assign(`${root}/jobs`);
    const state = find("#job").dataset.state;
    if (news.state !== state && !(state === "stopping" && news.state === "running")) return refresh();
    if (kind === "progress" && state === "running") pace(news);
  }

  function pace(news) {
    const bar = find("#progress"), words = find("#progress-words");
    if (!bar) return;
    if (news.stage !== "generate") {
      bar.removeAttribute("value");
      words.textContent = stages[news.stage] ?? stages.other;
      return;
    }
    share = news.frames ? Math.min(news.frame / news.frames, 1) : 0;
    if (news.frames) bar.value = share;
    const parts = [fill(news.frames ? said.framesOf : said.frames, news)];
    if (news.fps) parts.push(fill(said.rate, { rate: rate(news.fps) }));
    if (news.eta !== null) parts.push(fill(said.left, { time: clock(news.eta) }));
    words.textContent = parts.join(" · ");
    const percent = Math.floor(share * 100);
    document.title = news.frames ? `${percent}% · ${title}` : title;
    // Whoever listens is not told every second.
    if (Date.now() - spoken > 15000 && news.frames) {
      spoken = Date.now();
      find("#spoken").textContent = fill(said.percent, { percent });
    }
  }

  // The newest frame, about once a second while somebody looks.
  async function draw() {
    while (["queued", "running", "stopping"].includes(find("#job").dataset.state)) {
      if (!document.hidden && find("#job").dataset.state === "running") await drawOnce();
      await wait(1000);
    }
  }

  async function drawOnce() {
    try {
      const answer = await fetch(said.picture, { cache: "no-cache" });
      const newest = find("#newest");
      if (!answer.ok || !newest) return;
      const next = new Image();
      next.src = URL.createObjectURL(await answer.blob());
      await next.decode();
      const old = newest.src;
      newest.src = next.src;
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
      newest.alt = newest.dataset.newest;
      const clear = Math.min(Math.round((share / said.clearFrom) * said.clearest), said.clearest);
      newest.dataset.clear = clear;
      newest.className = `clear-${clear}`;
    } catch {
      // The next second brings another one.
    }
  }
}

// Two videos with one control, at the same moment.
function prepareTheatre() {
  const player = find("#player"), result = find("#result-video");
  if (!player || !result) return;
  const said = find("#theatre").dataset, start = Number(said.start);
  let driving = find("#driving-video");
  const play = find("#play"), position = find("#position"), sound = find("#sound"), loop = find("#loop");
  for (const video of all("#theatre video")) {
    video.controls = false;
    video.addEventListener("click", toggle);
    video.addEventListener("error", () => unseen(video));
    if (video.error) unseen(video);
  }
  player.hidden = false;
  function unseen(video) {
    find(".unseen", video.parentElement).hidden = false;
    if (video === driving) driving = null;
    else player.hidden = true;
  }
  function toggle() {
    if (result.paused) result.play().catch(() => {});
    else result.pause();
  }
  function inStep(tolerance) {
    if (!driving?.duration) return;
    const wanted = Math.min(result.currentTime + start, driving.duration);
    const apart = driving.currentTime - wanted;
    if (Math.abs(apart) > tolerance) driving.currentTime = wanted;
    // A little too early or too late is made up for without a jump.
    else driving.playbackRate = Math.abs(apart) > 0.02 ? 1 - apart : 1;
  }
  function show() {
    const { currentTime, duration } = result;
    const time = clock(currentTime), whole = clock(duration);
    setPosition(position, result, fill(said.position, { time, duration: whole }));
    find("#position-text").value = `${time} / ${whole}`;
  }
  function follow() {
    show();
    inStep(0.15);
    if (!result.paused) requestAnimationFrame(follow);
  }
  result.addEventListener("play", () => { driving?.play().catch(() => {}); follow(); });
  result.addEventListener("pause", () => { driving?.pause(); inStep(0.02); });
  for (const kind of ["play", "pause"]) {
    result.addEventListener(kind, () => {
      setToggle(play, !result.paused, result.paused ? said.play : said.pause);
    });
  }
  result.addEventListener("ended", () => {
    if (loop.getAttribute("aria-pressed") === "true") toggle();
  });
  result.addEventListener("seeked", () => { show(); inStep(0.02); });
  result.addEventListener("loadedmetadata", show);
  driving?.addEventListener("loadedmetadata", () => inStep(0.02));
  position.addEventListener("input", () => seek(result, position));
  play.addEventListener("click", toggle);
  sound.addEventListener("click", () => {
    result.muted = !result.muted;
    setToggle(sound, result.muted, result.muted ? said.soundOn : said.soundOff);
  });
  loop.addEventListener("click", () => {
    loop.setAttribute("aria-pressed", String(loop.getAttribute("aria-pressed") !== "true"));
  });
  show();
  inStep(0.02);
}

// Jobs and workers

function jobs(form) {
  const picked = () => all("input[name=job]:checked", form);
  const count = () => {
    const n = picked().length, boxes = all("input[name=job]", form), every = find("#select-all");
    if (!every) return;
    const counted = n === 1 ? form.dataset.countOne : form.dataset.countOther;
    find("#selected").textContent = n ? fill(counted, { n }) : "";
    every.checked = n > 0 && n === boxes.length;
    every.indeterminate = n > 0 && n < boxes.length;
  };
  const every = find("#select-all");
  if (every) find("#all-label").hidden = false;
  form.addEventListener("change", (event) => {
    if (event.target === every) for (const box of all("input[name=job]", form)) box.checked = every.checked;
    count();
  });
  form.addEventListener("submit", (event) => {
    if (picked().length) return;
    event.preventDefault();
    find("#selected").textContent = form.dataset.none;
  });
  const refresh = paced(1000, async () => {
    const page = await fetchPage(location.href);
    if (!page) return false;
    swapRows(page);
    swap("#filter", page);
    count();
  });
  listen(form.dataset.events, refresh);
  count();
}

// Only rows that have changed are replaced, so that none is lost under a finger.
function swapRows(page) {
  const fresh = page && find("#rows", page), old = find("#rows");
  if (!fresh || !old) return;
  if (!find(".rows", fresh) || !find(".rows", old)) return swap("#rows", page);
  const kept = new Map(all(".row", old).map((row) => [row.id, row]));
  const list = find(".rows", old), order = all(".row", fresh).map((row) => row.id);
  for (const row of all(".row", fresh)) {
    const known = kept.get(row.id);
    if (!known) list.append(document.adoptNode(row));
    else if (known.dataset.html !== row.outerHTML) {
      const html = row.outerHTML;
      const box = find("input[name=job]", known), checked = box.checked;
      const focused = known.contains(document.activeElement) ? document.activeElement : null;
      const place = focused && all("input,a", known).indexOf(focused);
      known.replaceChildren(...document.adoptNode(row).childNodes);
      known.dataset.state = row.dataset.state;
      known.dataset.html = html;
      find("input[name=job]", known).checked = checked;
      if (focused) all("input,a", known)[place]?.focus({ preventScroll: true });
    }
  }
  for (const [id, row] of kept) if (!order.includes(id)) row.remove();
  order.forEach((id, place) => {
    const row = document.getElementById(id);
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
  showLocalTimes(list);
}

function workers() {
  const refresh = paced(1000, async () => swap("#workers", await fetchPage(location.href)));
  setInterval(refresh, 3000);
}

for (const form of all("form[data-busy]")) {
  form.addEventListener("submit", () => {
    const button = find("button", form);
    button.disabled = true;
    find("#live").textContent = form.dataset.busy;
    button.textContent = form.dataset.busy;
  });
}
showLocalTimes(document);
find("#told")?.focus();
if (find("#make")) make(find("#make"));
if (find("#job")) job(find("#job"));
if (find("#jobs")) jobs(find("#jobs"));
if (find("#workers")) workers();
