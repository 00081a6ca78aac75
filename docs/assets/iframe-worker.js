// Search runs in a web worker, and browsers start none from file://. There, this runs the worker's script in a hidden
// frame instead, with as much of the interface of Worker as the search needs.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      this.received = (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const copy = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(copy);
        if (this.onmessage) this.onmessage(copy);
      };
      addEventListener("message", this.received);
      this.ready = new Promise((resolve, reject) => {
        const inside = this.frame.contentWindow.document;
        const bridge = inside.createElement("script");
        bridge.textContent =
          "window.postMessage = (data) => parent.dispatchEvent(" +
          "new MessageEvent('message', { data, source: window }));";
        const script = inside.createElement("script");
        script.src = new URL(url, location.href).href;
        script.onload = resolve;
        script.onerror = () => reject(new Error(`${script.src} cannot be loaded`));
        inside.body.append(bridge, script);
      });
    }

    postMessage(data) {
      this.ready.then(() => {
        const inside = this.frame.contentWindow;
        inside.dispatchEvent(new inside.MessageEvent("message", { data, source: window }));
      });
    }

    terminate() {
      removeEventListener("message", this.received);
      this.frame.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
