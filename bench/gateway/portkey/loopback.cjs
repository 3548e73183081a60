// Loaded before the peer: it would listen on every address of the machine, and nothing here may.
const { Server } = require("net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (first, ...rest) {
  if (first !== null && typeof first === "object") {
    return listen.call(this, { ...first, host: "127.0.0.1" }, ...rest);
  }
  return listen.call(this, first, "127.0.0.1", ...rest.filter((part) => typeof part === "function"));
};
