"""The outside world: HTTP, WebRTC and the page. Sessions of `flowact.stream` are given to browsers and programs."""
