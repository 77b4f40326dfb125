/** Keep an event to ourselves: neither the browser nor the notebook acts on it. */
export function take(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}
