import { readFile, stat } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import path from "node:path";

import * as v from "valibot";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { adminTokenFile, keptAdminToken } from "../../src/cli/admin-token.ts";
import { freePorts } from "../../src/cli/free-ports.ts";
import { ReceiptKey } from "../../src/billing/receipt.ts";
import { keptReceiptKey, receiptKeyFile } from "../../src/cli/receipt-key.ts";
import { wipeState } from "../../src/cli/state-lock.ts";
import { type TemporaryFolder, temporaryFolder } from "./support.ts";

let temporary: TemporaryFolder;
let taken: Server;
let port: number;
beforeAll(async () => {
  temporary = await temporaryFolder();
  taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const address = taken.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
afterAll(async () => {
  await new Promise((resolve) => taken.close(resolve));
  await temporary.remove();
});

describe("the ports of the local stack", () => {
  it("are free ones for 0, all different", async () => {
    const ports = await freePorts(["edge-port", 0], ["control-port", 0], ["origin-port", 0]);
    expect(Math.min(...ports)).toBeGreaterThan(0);
    expect(new Set(ports).size).toBe(3);
  });

  it("come in the order in which they are asked for", async () => {
    const [chosen = 0] = await freePorts(["edge-port", 0]);
    const [any, kept] = await freePorts(["edge-port", 0], ["origin-port", chosen]);
    expect(kept).toBe(chosen);
    expect(any).not.toBe(chosen);
  });

  it.each(["edge-port", "control-port", "origin-port"])(
    "that are taken are refused with --%s",
    async (option) => {
      await expect(freePorts(["first-port", 0], [option, port])).rejects.toThrow(
        new RegExp(`^Port ${port} is taken\\..*: npm start -- --${option} \\d+$`),
      );
    },
  );

  it("are not the same", async () => {
    await expect(freePorts(["edge-port", 18_787], ["origin-port", 18_787])).rejects.toThrow(
      "--edge-port and --origin-port are both 18787.",
    );
  });
});

describe.each([
  ["the admin token", keptAdminToken, adminTokenFile],
  ["the key of receipts", keptReceiptKey, receiptKeyFile],
])("%s", (_, kept, fileOf) => {
  it("stays the same in a state folder, for its owner's eyes only, until the state is wiped", async () => {
    const folder = path.join(temporary.folder, fileOf("state"));
    const secret = await kept(folder);
    expect(await kept(folder)).toBe(secret);
    expect(await readFile(fileOf(folder), "utf8")).toBe(`${secret}\n`);
    expect((await stat(fileOf(folder))).mode & 0o777).toBe(0o600);
    await wipeState(folder);
    expect(await kept(folder)).not.toBe(secret);
  });
});

describe("a secret of the local stack", () => {
  it("is what its reader takes", async () => {
    const folder = path.join(temporary.folder, "secrets");
    expect(await keptAdminToken(folder)).toMatch(/^[0-9a-f]{64}$/);
    const key = v.parse(ReceiptKey, JSON.parse(await keptReceiptKey(folder)));
    expect(key.kid).toMatch(/^local-\d+$/);
  });
});
