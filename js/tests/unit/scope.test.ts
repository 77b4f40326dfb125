import { expect, it } from "vitest";
import { Scope } from "../../src/host/scope";

it("a closed view leaves no scope, listener or resource behind", () => {
  const before = Scope.live;
  const scope = new Scope();
  const freed: string[] = [];
  const target = new EventTarget();
  let heard = 0;
  scope.add(() => freed.push("first"));
  scope.child().listen(target, "ping", () => heard++);
  scope.add(() => freed.push("last"));
  target.dispatchEvent(new Event("ping"));
  scope.dispose();
  scope.dispose();
  target.dispatchEvent(new Event("ping"));
  expect([heard, freed, Scope.live - before]).toEqual([1, ["last", "first"], 0]);
  scope.add(() => freed.push("too late"));
  expect(freed).toContain("too late");
});
