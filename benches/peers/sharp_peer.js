// sharp, the usual choice in Node: "sharp_peer.js pyramid" makes each thumbnail of the one before it, through raw pixels;
// "sharp_peer.js calls" calls sharp three times on the original, as its documentation does.
"use strict";

const { readFileSync, writeFileSync } = require("node:fs");
const { createInterface } = require("node:readline");
const sharp = require("sharp");

sharp.concurrency(1);
sharp.cache(false);

const SIZES = [600, 300, 100];

function encode(image, extension) {
  return extension === "png" ? image.png() : image.jpeg({ quality: 82, chromaSubsampling: "4:2:0" });
}

async function pyramid(original, extension) {
  const files = [];
  let source = sharp(original).autoOrient();
  for (const size of SIZES) {
    const { data, info } = await source.resize(size, size, { fit: "cover" }).raw().toBuffer({ resolveWithObject: true });
    const raw = { width: info.width, height: info.height, channels: info.channels };
    files.push(await encode(sharp(data, { raw }), extension).toBuffer());
    source = sharp(data, { raw });
  }
  return files;
}

async function calls(original, extension) {
  const files = [];
  for (const size of SIZES) {
    const image = sharp(original).autoOrient().resize(size, size, { fit: "cover" });
    files.push(await encode(image, extension).toBuffer());
  }
  return files;
}

function cpuMicroseconds() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function answer(line, make) {
  const [command, extension, path, argument] = line.split(" ");
  const original = readFileSync(path);
  if (command === "write") {
    const files = await make(original, extension);
    files.forEach((file, index) => writeFileSync(`${argument}.${SIZES[index]}.${extension}`, file));
    return files.reduce((bytes, file) => bytes + file.length, 0);
  }
  const before = cpuMicroseconds();
  for (let job = 0; job < Number(argument); job++) {
    await make(original, extension);
  }
  return cpuMicroseconds() - before;
}

async function main() {
  const make = { pyramid, calls }[process.argv[2]];
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${await answer(line, make)}\n`);
  }
}

if (require.main === module) {
  main();
}

module.exports = { SIZES, pyramid };
