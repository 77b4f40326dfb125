// The verdict on this host, as a small table in the cell.

import type { JSX } from "preact";
import type { Finding, HostCheck } from "../state/host-check";
import { Icon } from "./parts";

export function HostCheckView({ check }: { check: HostCheck }): JSX.Element {
  const verdict = check.verdict.value;
  const advised = verdict?.rows.some((row) => row.remedy) ?? false;
  return (
    <section class="host-check" aria-label="Check of this notebook host" data-testid="host-check" data-state={verdict ? (verdict.well ? "ok" : "problems") : "running"}>
      <p class={`host-verdict ${verdict ? (verdict.well ? "good" : "bad") : ""}`} role="status">
        {verdict ? <Icon name={verdict.well ? "check" : "warn"} /> : null}
        {verdict ? verdict.text : `Testing this host: ${check.doing.value}…${check.silent.value ? " (a cell may be running, or this host carries no widget messages)" : ""}`}
      </p>
      {verdict && verdict.rows.length ? (
        <table>
          <thead>
            <tr>
              <th scope="col">check</th>
              <th scope="col">found</th>
              {advised ? <th scope="col">what to do</th> : null}
            </tr>
          </thead>
          <tbody>{verdict.rows.map((row) => Row(row, advised))}</tbody>
        </table>
      ) : null}
    </section>
  );
}

function Row({ check, found, ok, remedy }: Finding, advised: boolean): JSX.Element {
  return (
    <tr key={check} class={ok ? "" : "bad"} data-check={check}>
      <th scope="row">
        <Icon name={ok ? "check" : "warn"} /> {check}
        {ok ? null : <span class="visually-hidden"> (problem)</span>}
      </th>
      <td>{found}</td>
      {advised ? <td class="muted">{remedy}</td> : null}
    </tr>
  );
}
