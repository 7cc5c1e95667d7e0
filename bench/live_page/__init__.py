"""The delays of the live server as a browser sees and hears them: python -m bench.live_page."""
