// A card for each image: its upload, the look-out for its thumbnails, and what there is to copy.

// The server's own limits. What seems to be past them is asked about here, and decided there.
const MAX_IMAGE_BYTES = 1048576;
const TYPES = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'];

// Enough to fill a line. Each has 20 seconds for its bytes, which for three of the largest takes a line of 1.3 Mbit/s.
const UPLOADS_AT_A_TIME = 3;
// The server gives up on a body long before this, so then it is the line that is dead.
const UPLOAD_TIMEOUT_MS = 120000;

// What passes: too many requests, and what a load balancer says while a server is replaced, or the server when it is full.
const PASSING = [429, 502, 503, 504];
// Such an answer may say when to come back. Past this many times, or for longer, it is for the user to say.
const MAX_RETRIES = 3;
const MAX_RETRY_AFTER_S = 60;
const DEFAULT_RETRY_AFTER_S = 5;

// A job takes a second or so; a queue, minutes. A cache may remember for 10 seconds that there was nothing, so looking more
// often than this would show it no sooner.
const LOOK_AFTER_S = [1, 2, 4, 8, 15, 30, 30, 30, 30, 30, 30, 30];
// A line that brings less than a thumbnail in this time is dead.
const LOOK_TIMEOUT_MS = 20000;
const THUMBNAILS = ['large', 'medium', 'small'];

const COPIED_FOR_MS = 2000;
const MAX_LOG_LINES = 8;

const id = name => document.getElementById(name);
const waiting = [];
let uploading = 0;
let token = keptToken();

class Card {
  constructor(file) {
    this.file = file;
    this.retries = 0;
    this.element = id('card').content.firstElementChild.cloneNode(true);
    this.part('name').textContent = this.part('name').title = file.name;
    this.part('progress').setAttribute('aria-label', `Upload of ${file.name}`);
    this.part('go').onclick = () => {
      this.element.focus(); // the button is about to go
      this.act();
    };
    this.part('leave').onclick = () => {
      clearTimeout(this.timer); // it may be about to try again
      URL.revokeObjectURL(this.preview);
      this.element.remove();
      id('choose').focus();
      arrange();
    };
    id('cards').prepend(this.element);
    this.showPreview();
    const doubt = this.doubt();
    if (doubt) this.ask('refused', doubt, 'Upload anyway', () => this.enqueue());
    else this.enqueue();
  }

  part(name) {
    return this.element.querySelector(name === 'progress' ? name : '.' + name);
  }

  doubt() {
    const bytes = count => count.toLocaleString('en');
    if (/\.hei[cf]$/i.test(this.file.name)) return 'HEIC is not taken here: save it as JPEG.';
    if (this.file.size > MAX_IMAGE_BYTES) {
      return `It has ${bytes(this.file.size)} bytes; at most ${bytes(MAX_IMAGE_BYTES)} are taken. Make a smaller copy of it.`;
    }
    return TYPES.includes(this.file.type) ? '' : 'It seems to be no JPEG, PNG, GIF or WebP.';
  }

  showPreview() {
    this.preview = URL.createObjectURL(this.file);
    this.part('picture').onerror = event => {
      event.target.removeAttribute('src');
      URL.revokeObjectURL(this.preview);
    };
    this.part('picture').src = this.preview;
  }

  // `state` is a class of the card's; the sentence is seen, and heard if there is something in it to be told.
  say(state, sentence, heard = true) {
    clearTimeout(this.timer);
    this.element.className = state;
    this.part('status').textContent = sentence;
    this.part('choices').hidden = true;
    if (heard) tell(`${this.file.name}: ${sentence}`);
  }

  // The same with a choice: to do it, or, as long as there is nothing to lose, to forget it.
  ask(state, sentence, label, act) {
    this.say(state, sentence);
    this.act = act;
    this.part('go').textContent = label;
    this.part('go').setAttribute('aria-label', `${label}: ${this.file.name}`);
    this.part('leave').hidden = Boolean(this.urls);
    this.part('choices').hidden = false;
  }

  enqueue() {
    this.say('waiting', 'Waiting…', false);
    waiting.push(this);
    uploadMore();
  }

  async upload() {
    const sent = token;
    this.say('uploading', 'Uploading…', false);
    this.part('progress').value = 0;
    const answer = await post(this.file, sent, part => { this.part('progress').value = part; });
    const sentence = answer.json?.error ?? await this.whyNot(answer.status);
    if (answer.status === 202 && answer.json) this.uploaded(answer.json);
    else if (answer.status === 401) this.needsToken(sent);
    else if (PASSING.includes(answer.status)) this.retryLater(sentence, answer.retryAfter);
    else this.ask('refused', sentence, 'Try again', () => this.enqueue());
  }

  // What the server did not say.
  async whyNot(status) {
    if (status) return `The server answered ${status}, and did not say why.`;
    const isReadable = await this.file.slice(0, 1).arrayBuffer().then(() => true, () => false);
    return isReadable ? 'The server cannot be reached.' : 'It cannot be read: choose it again, if it is a file.';
  }

  retryLater(sentence, retryAfter) {
    const seconds = retryAfter > 0 ? retryAfter : DEFAULT_RETRY_AFTER_S;
    if (this.retries >= MAX_RETRIES || seconds > MAX_RETRY_AFTER_S) {
      this.retries = 0;
      return this.ask('refused', sentence, 'Try again', () => this.enqueue());
    }
    this.retries += 1;
    this.ask('refused', `${sentence} Trying again in ${seconds} s.`, 'Try now', () => this.enqueue());
    this.timer = setTimeout(() => this.enqueue(), seconds * 1000);
  }

  needsToken(sent) {
    if (sent !== token) return this.enqueue(); // there is another since
    this.say('waiting', 'Waiting for the upload token.');
    waiting.push(this);
    askForToken(sent ? 'That is not it.' : '');
  }

  uploaded(urls) {
    this.urls = urls;
    this.thumbnails = {};
    this.part('frame').href = urls.original;
    this.part('frame').setAttribute('aria-label', `Original of ${this.file.name}`);
    this.offerCopies();
    tell(`${this.file.name} is uploaded.`);
    this.look(0);
  }

  // Looks for the thumbnails that it has not seen yet.
  look(times) {
    if (times === LOOK_AFTER_S.length) {
      return this.ask('late', 'The links are final, but the thumbnails are not there yet.', 'Look again', () => this.look(0));
    }
    this.say('uploaded', 'Making thumbnails…', false);
    this.timer = setTimeout(async () => {
      const missing = THUMBNAILS.filter(size => !this.thumbnails[size]);
      await Promise.all(missing.map(async size => { this.thumbnails[size] = await load(this.urls[size]); }));
      if (THUMBNAILS.every(size => this.thumbnails[size])) this.ready(this.thumbnails.large);
      else this.look(times + 1);
    }, LOOK_AFTER_S[times] * 1000);
  }

  ready(image) {
    image.className = 'picture';
    image.alt = this.file.name;
    this.part('picture').replaceWith(image);
    URL.revokeObjectURL(this.preview);
    this.say('ready', 'Ready to share.');
  }

  offerCopies() {
    const { original, large, medium, small } = this.urls;
    const name = this.file.name.replace(/\.[a-z0-9]+$/i, '');
    const html = text => text.replace(/[&<>"]/g, sign => `&#${sign.charCodeAt()};`);
    const markdown = text => text.replace(/\s+/g, ' ').replace(/[\\`*_[\]<>&!|]/g, '\\$&');
    const copies = {
      'Copy link': original,
      'Large': large,
      'Medium': medium,
      'Small': small,
      'HTML': `<a href="${html(original)}"><img src="${html(medium)}" alt="${html(name)}"></a>`,
      'Markdown': `[![${markdown(name)}](${medium})](${original})`,
    };
    const group = this.part('copies');
    group.setAttribute('aria-label', `Copy, of ${this.file.name}`);
    group.hidden = false;
    for (const [label, text] of Object.entries(copies)) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = label;
      button.title = text;
      button.onclick = () => copy(button, label, text);
      group.append(button);
    }
  }
}

// Sends one image. Resolves whatever happens: `status` is 0 if there was no answer.
function post(file, token, progressed) {
  return new Promise(resolve => {
    const request = new XMLHttpRequest();
    request.open('POST', '/');
    request.timeout = UPLOAD_TIMEOUT_MS;
    request.setRequestHeader('Accept', 'application/json');
    if (token) request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.upload.onprogress = event => progressed(event.loaded / event.total);
    request.onloadend = () => {
      let json;
      try {
        json = JSON.parse(request.responseText);
      } catch {} // from a proxy, it may be a page
      resolve({ status: request.status, json, retryAfter: Number(request.getResponseHeader('Retry-After')) });
    };
    const form = new FormData();
    form.append('image', file);
    request.send(form);
  });
}

// The image at a URL, or nothing if it is not there. An <img> needs no permission of the other origin.
function load(url) {
  return new Promise(resolve => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => resolve();
    setTimeout(resolve, LOOK_TIMEOUT_MS);
    image.src = url;
  });
}

// While the token is asked for, nothing is sent that would be refused.
function uploadMore() {
  while (uploading < UPLOADS_AT_A_TIME && waiting.length && id('token').hidden) {
    uploading += 1;
    waiting.shift().upload().finally(() => {
      uploading -= 1;
      uploadMore();
    });
  }
}

// A browser that lets pages keep nothing throws; then the token lasts as long as the page.
function keptToken() {
  try {
    return sessionStorage.token;
  } catch {}
}

function keepToken(secret) {
  token = secret;
  try {
    sessionStorage.token = secret;
  } catch {}
}

function askForToken(sentence) {
  id('refused').textContent = sentence;
  if (!id('token').hidden) return;
  id('token').hidden = false;
  id('secret').focus();
  tell(`This server asks for its upload token. ${sentence}`);
}

id('token').onsubmit = event => {
  event.preventDefault();
  keepToken(id('secret').value);
  id('secret').value = '';
  id('token').hidden = true;
  id('choose').focus();
  uploadMore();
};

async function copy(button, label, text) {
  const copied = await toClipboard(text) || copySelected(text);
  button.focus();
  if (!copied) return prompt('The browser does not let this page copy. Here it is:', text);
  button.textContent = 'Copied';
  tell('Copied.');
  setTimeout(() => { button.textContent = label; }, COPIED_FOR_MS);
}

// False by plain HTTP, where browsers have no `navigator.clipboard`, and where they do not permit it.
async function toClipboard(text) {
  return navigator.clipboard?.writeText(text).then(() => true, () => false);
}

// The old way, which copies what is selected.
function copySelected(text) {
  const area = document.createElement('textarea');
  area.className = 'unseen';
  area.readOnly = true;
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  return copied;
}

// For those who listen. Lines are added and not replaced, so that two at once are both read.
function tell(sentence) {
  const line = document.createElement('p');
  line.textContent = sentence;
  id('log').append(line);
  if (id('log').childElementCount > MAX_LOG_LINES) id('log').firstChild.remove();
}

function add(files) {
  for (const file of files) new Card(file);
  arrange();
}

function arrange() {
  const some = id('cards').childElementCount > 0;
  id('drop').classList.toggle('small', some);
  id('heading').hidden = !some;
}

id('choose').onclick = () => id('files').click();
id('files').onchange = event => {
  add(event.target.files);
  event.target.value = ''; // the same file may be chosen again
};
document.onpaste = event => add(event.clipboardData.files);

// The whole page is the target: what misses a smaller one would be opened in place of the page.
document.ondragover = event => {
  event.preventDefault();
  id('drop').classList.add('over');
};
document.ondragleave = event => {
  if (!event.relatedTarget) id('drop').classList.remove('over');
};
document.ondrop = event => {
  event.preventDefault();
  id('drop').classList.remove('over');
  add(event.dataTransfer.files);
};

id('here').textContent = location.origin + '/';
