// Filters as the page builds them.
import { describe, expect, it } from "vitest";
import { build, categoryParts, chosen, chosenTags, describe as words, distance, EMPTY, type FilterSpec, number, parts, tagParts, untaggedKey, withFacet } from "../../src/protocol/filter";

const brush: FilterSpec = { col: "brightness", op: "between", lo: 0.1, hi: 0.4, closed: "left" };

describe("filters", () => {
  it("brushing again replaces the brush and keeps the rest", () => {
    const spec = build("all", [brush, { tag: "review" }]);
    const next = withFacet(spec, "col:brightness", [{ ...brush, lo: 0.2 }]);
    expect(parts(next).list).toEqual([{ ...brush, lo: 0.2 }, { tag: "review" }]);
    expect(withFacet(next, "col:brightness", [])).toEqual({ all: [{ tag: "review" }] });
  });

  it("included and excluded values survive being written and read", () => {
    const list = categoryParts("class_name", new Set(["cat", null]), new Set(["dog"]));
    const back = chosen(build("all", list), "class_name");
    expect([[...back.include], [...back.exclude]]).toEqual([["cat", null], ["dog"]]);
  });

  it("several tags are alternatives, excluded ones are not", () => {
    const list = tagParts(new Set(["a", untaggedKey]), new Set(["b"]));
    expect(list).toEqual([{ any: [{ tag: "a" }, { untagged: true }] }, { not: { tag: "b" } }]);
    expect(chosenTags(build("all", list)).include).toEqual(new Set(["a", untaggedKey]));
  });

  it("is said in words", () => {
    expect(words(EMPTY)).toBe("");
    expect(words(build("all", [brush, { not: { tag: "night" } }]))).toBe("0.1 ≤ brightness < 0.4 and not (tagged “night”)");
  });

  it("numbers are short and keep their size", () => {
    expect([number(0.30000001), number(1234567), number(0.0012345), number(-3), number(0.00000557)]).toEqual(["0.3", "1,234,567", "0.00123", "-3", "5.57e-6"]);
    expect([distance(0), distance(0.456), distance(0.0034), distance(0.0000123)]).toEqual(["0.00", "0.46", "0.0034", "1.2e-5"]);
  });
});
