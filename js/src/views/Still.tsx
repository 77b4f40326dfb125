// What is shown until a kernel answers: the picture that was drawn of this explorer, as in a saved notebook.

import type { JSX } from "preact";
import { useExplorer } from "./parts";

export function Still(): JSX.Element | null {
  const { store, explorer } = useExplorer();
  if (!store.unanswered.value || store.stale.value) return null;
  const picture = explorer.channel.get<string | undefined>("_still");
  return (
    <div class="still" data-testid="still">
      <p role="status">No kernel answers yet. If none is running, run this cell.</p>
      {picture ? <img src={`data:image/png;base64,${picture}`} alt="This explorer when it was shown last" /> : null}
    </div>
  );
}
