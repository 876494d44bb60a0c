#!/usr/bin/env python3
"""The server's page in a browser (Chromium, headless), with the bundled model.

usage: page_test.py PROGRAM SOURCE_TREE

Skipped in words where Selenium or the browser is missing (scripts/install-deps --browser). With LONGHAUL_SHOTS=FOLDER it leaves
pictures of the page at two widths there.
"""

import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

PROGRAM, TREE = sys.argv[1], pathlib.Path(sys.argv[2])
MODEL = str(TREE / "models/longhaul-pathfinder-q8_0.gguf")
try:
    from selenium import webdriver
    from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None

PROMPT = "path: bako tiru ; lemo end ; tiru lemo ; from bako :"
SETTINGS = {"plain": True, "max_tokens": "1500", "temperature": "0"}


def browser():
    options = webdriver.ChromeOptions()
    for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,800"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options)


@unittest.skipIf(webdriver is None, "no Selenium: scripts/install-deps --browser brings it")
class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            cls.browser = browser()
        except WebDriverException as error:
            raise unittest.SkipTest(f"no browser: {str(error).splitlines()[0]}")
        cls.server = subprocess.Popen([PROGRAM, "serve", "-m", MODEL, "--port", "0", "-c", "2048", "-t", "2", "--parallel", "2",
                                       "--quiet"], stdout=subprocess.PIPE, text=True)
        cls.port = int(cls.server.stdout.readline().split("127.0.0.1:")[1].split(",")[0])

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.server.terminate()
        cls.server.communicate(timeout=60)

    def setUp(self):
        self.open({})
        self.browser.get_log("browser")  # what tests before this one left

    def open(self, stored):
        self.browser.get(f"http://127.0.0.1:{self.port}/")
        self.browser.execute_script("localStorage.clear(); for (const [k, v] of Object.entries(arguments[0])) localStorage.setItem(k, v)",
                                    {"longhaul.settings": json.dumps(SETTINGS), **stored})
        self.browser.refresh()

    def send(self, text):
        box = self.browser.find_element(By.ID, "input")
        self.browser.execute_script("arguments[0].value = arguments[1]", box, text)  # keys would take minutes for long ones
        box.send_keys(Keys.ENTER)

    def await_(self, what, is_there, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                found = is_there()
                if found:
                    return found
            except StaleElementReferenceException:
                pass  # drawn anew meanwhile
            time.sleep(0.05)
        self.fail(f"{what}: not within {seconds} s; the page says {self.browser.find_element(By.TAG_NAME, 'body').text[-500:]!r}")

    def is_over(self):
        return self.browser.find_element(By.ID, "send").is_displayed() and bool(self.messages())

    def messages(self):
        stored = self.browser.execute_script("return localStorage.getItem('longhaul.conversations')")
        conversations = json.loads(stored or "[]")
        return conversations[0]["messages"] if conversations else []

    def said(self):
        messages = self.messages()
        return messages[-1]["content"] if messages and messages[-1]["role"] == "assistant" else ""

    def expected(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/v1/completions", json.dumps({"prompt": PROMPT, "max_tokens": 1500, "temperature": 0}))
        text = json.loads(connection.getresponse().read())["choices"][0]["text"]
        connection.close()
        return text

    def no_errors(self):
        self.assertEqual([entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"], [])

    def shoot(self, name):
        folder = os.environ.get("LONGHAUL_SHOTS")
        if not folder:
            return
        for width in [1280, 420]:
            self.browser.set_window_size(width, 800)
            time.sleep(0.3)
            self.browser.save_screenshot(str(pathlib.Path(folder) / f"{name}-{width}.png"))
        self.browser.set_window_size(1280, 800)

    def test_a_question_and_its_answer(self):
        self.send(PROMPT)
        self.await_("an answer", self.is_over)
        self.assertEqual(self.said(), self.expected())
        self.assertIn("tokens/s", self.browser.find_elements(By.CSS_SELECTOR, ".assistant .tools")[-1].text)
        self.shoot("answer")
        self.no_errors()

    def test_an_answer_goes_on_behind_a_reload(self):
        self.send("a")
        self.await_("the beginning", lambda: len(self.said()) > 40)
        self.browser.refresh()
        self.await_("the end", self.is_over)
        whole = self.said()
        self.send("")  # nothing: no request
        self.browser.find_element(By.ID, "new").click()
        self.send("a")
        self.await_("the same once more", self.is_over)
        self.assertTrue(self.said() == whole and len(whole) > 40)
        self.no_errors()

    def test_a_strip_shows_what_steps_read(self):
        self.open({"longhaul.settings": json.dumps({**SETTINGS, "attention": "resa"})})
        strip = self.browser.find_element(By.ID, "strip")
        shown = "const s = arguments[0]; return [s.ariaLabel ?? '', [...s.querySelectorAll('i')].map((i) => Number(i.style.opacity))]"

        def is_sparse():
            label, parts = self.browser.execute_script(shown, strip)
            count = re.search(r"read \d+ of (\d+) parts", label)
            return count and len(parts) == int(count[1]) and min(parts) < max(parts) == 1

        # The answer of a second or less may be over before anybody looks.
        for _ in range(10):
            self.browser.find_element(By.ID, "new").click()
            self.send("a")
            self.await_("a sparse step, or the end", lambda: is_sparse() or self.is_over())
            if is_sparse():
                break
        self.assertTrue(is_sparse(), "no strip in ten answers")
        self.shoot("strip")
        self.await_("the end", self.is_over)
        self.await_("no strip", lambda: not strip.is_displayed())
        self.no_errors()

    def test_stop_edit_again(self):
        self.send("a")
        self.await_("the beginning", lambda: len(self.said()) > 40)
        self.browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
        self.await_("a stop", self.is_over)
        stopped = self.said()
        time.sleep(0.5)
        self.assertEqual(self.said(), stopped)
        self.browser.find_element(By.XPATH, "//button[text()='Again']").click()
        self.await_("another answer", self.is_over)
        self.assertTrue(self.said().startswith(stopped[:40]))
        self.browser.find_element(By.XPATH, "//button[text()='Edit']").click()
        self.assertEqual(self.browser.find_element(By.ID, "input").get_attribute("value"), "a")
        self.assertEqual(self.messages(), [])
        self.no_errors()

    def test_a_prompt_that_is_too_long_is_refused_in_words(self):
        self.send("bako tiru ; " * 2000)
        text = self.await_("an error", lambda: self.browser.find_element(By.CSS_SELECTOR, ".error").text)
        self.assertIn("tokens", text)
        self.assertIn("2048", text)

    def test_what_is_said_never_runs(self):
        evil = ("<img src=x onerror=\"document.title='run'\"> <script>document.title='run'</script> [a](javascript:alert(1)) "
                "[b](https://example.com) **bold** `<i>` \n\n```\n<u>code</u>\n```\n<a href='javascript:alert(2)'>c</a>")
        conversation = [{"id": "1", "title": "<b>evil</b>", "messages": [{"role": "assistant", "content": evil}]}]
        self.open({"longhaul.conversations": json.dumps(conversation), "longhaul.settings": "{}"})
        body = self.await_("the message", lambda: self.browser.find_element(By.CSS_SELECTOR, ".assistant .body"))
        self.assertEqual(self.browser.title, "Longhaul")
        for selector in ["img", "script", "i", "u", "b"]:
            self.assertEqual(body.find_elements(By.CSS_SELECTOR, selector), [], selector)
        self.assertEqual([link.get_attribute("href") for link in body.find_elements(By.TAG_NAME, "a")], ["https://example.com/"])
        self.assertEqual(body.find_element(By.TAG_NAME, "strong").text, "bold")
        self.assertIn("<u>code</u>", body.text)
        self.shoot("markdown")
        self.no_errors()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
