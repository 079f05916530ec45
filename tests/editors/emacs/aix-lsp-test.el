;;; aix-lsp-test.el --- The parts of aix-lsp that need no server  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Run by tests/editors/test_emacs_package.py.

;;; Code:

(require 'ert)
(require 'aix-lsp)

(defvar aix-lsp-test--alphabet ["a" "é" "漢" "🎉" "\n" "\n" "\r\n" "\r" "\t" "x = 1"])

(defun aix-lsp-test--text (pieces)
  "Random text of so many PIECES."
  (mapconcat (lambda (_) (aref aix-lsp-test--alphabet (random (length aix-lsp-test--alphabet))))
             (number-sequence 1 pieces) ""))

(ert-deftest aix-lsp-test-a-position-leads-back-to-its-place ()
  (random "positions")
  (dolist (encoding '("utf-8" "utf-16" "utf-32"))
    (dotimes (_ 40)
      (with-temp-buffer
        (insert (aix-lsp-test--text 30))
        (dotimes (_ 20)
          (let* ((pos (+ (point-min) (random (1+ (buffer-size)))))
                 (position (aix-lsp-position-at pos encoding)))
            (if position
                (should (= pos (aix-lsp-position-point position encoding)))
              (should (and (eq (char-before pos) ?\r) (eq (char-after pos) ?\n))))))))))

(ert-deftest aix-lsp-test-positions-do-not-depend-on-narrowing ()
  (with-temp-buffer
    (insert "one\ntwo 🎉 three\n")
    (narrow-to-region 5 8)
    (should (equal (aix-lsp-position-at 10 "utf-16") '(:line 1 :character 6)))
    (should (equal (aix-lsp-position-point '(:line 1 :character 6) "utf-16") 10))))

(ert-deftest aix-lsp-test-raw-bytes-can-be-sent ()
  (with-temp-buffer
    (insert "a" (unibyte-char-to-multibyte #xff) "b" #xd800 "c")
    (let ((text (aix-lsp-position-text (point-min) (point-max))))
      (should (equal text "a\ufffdb\ufffdc"))
      (should (json-serialize text)))))

(ert-deftest aix-lsp-test-a-uri-leads-back-to-its-file ()
  (dolist (file '("/tmp/a b/ä%漢.py" "/x/+&?#.py"))
    (should (equal (aix-lsp-position-file (aix-lsp-position-uri file)) file)))
  (should-not (aix-lsp-position-file "https://example.org/x")))

(ert-deftest aix-lsp-test-a-word-takes-the-space-before-it ()
  (should (equal (aix-lsp-ghost-word "total(x)") "total"))
  (should (equal (aix-lsp-ghost-word "(x)") "("))
  (should (equal (aix-lsp-ghost-word " + snake_case, y") " +"))
  (should (equal (aix-lsp-ghost-word "\n    if x") "\n    if"))
  (should (equal (aix-lsp-ghost-word "漢字 x") "漢字")))

(ert-deftest aix-lsp-test-words-put-together-are-the-offer ()
  (random "words")
  (dotimes (_ 100)
    (let* ((text (aix-lsp-test--text 12)) (rest text) (taken ""))
      (while (not (string-empty-p rest))
        (let ((word (aix-lsp-ghost-word rest)))
          (should-not (string-empty-p word))
          (setq taken (concat taken word) rest (substring rest (length word)))))
      (should (equal taken text)))))

(ert-deftest aix-lsp-test-a-line-goes-to-its-end ()
  (should (equal (aix-lsp-ghost-line "a\nb\nc") "a"))
  (should (equal (aix-lsp-ghost-line "\nb\nc") "\nb")))

(ert-deftest aix-lsp-test-candidates-that-do-not-go-on-from-the-text-are-left-out ()
  (with-temp-buffer
    (insert "foo(b")
    (aix-lsp-ghost-show (list (make-aix-lsp-candidate :beg 1 :text "foo(x)")
                              (make-aix-lsp-candidate :beg 1 :text "foo(bar)")
                              (make-aix-lsp-candidate :beg 6 :text "az)"))
                        #'ignore)
    (should (equal (aix-lsp-ghost-text) "ar)"))
    (aix-lsp-ghost-step 1)
    (should (equal (aix-lsp-ghost-text) "az)"))
    (aix-lsp-ghost-step 1)
    (should (equal (aix-lsp-ghost-text) "ar)"))))

(ert-deftest aix-lsp-test-a-bracket-that-a-mode-closes-ends-the-offer ()
  (with-temp-buffer
    (insert "f")
    (aix-lsp-ghost-show (list (make-aix-lsp-candidate :beg 2 :text "(x)")) #'ignore)
    (insert "()")
    (backward-char)
    (should-not (aix-lsp-ghost-follow))
    (should-not (aix-lsp-ghost-text))))

(ert-deftest aix-lsp-test-an-offer-that-was-taken-in-parts-is-told-once ()
  (with-temp-buffer
    (let ((told 0))
      (aix-lsp-ghost-show (list (make-aix-lsp-candidate :beg 1 :text "a b")) (lambda (_) (setq told (1+ told))))
      (aix-lsp-ghost-accept #'aix-lsp-ghost-word)
      (should (= told 0))
      (aix-lsp-ghost-accept #'aix-lsp-ghost-word)
      (should (= told 1))
      (should (equal (buffer-string) "a b")))))

(ert-deftest aix-lsp-test-only-what-was-set-is-sent ()
  (should (zerop (hash-table-count (aix-lsp-options-collect '(machine window resource)))))
  (let ((aix-lsp-model-name "x"))
    (should (equal (json-serialize (aix-lsp-options-collect '(machine window resource)))
                   "{\"model\":{\"name\":\"x\"}}"))
    (should (zerop (hash-table-count (aix-lsp-options-collect '(window resource)))))))

(ert-deftest aix-lsp-test-a-machine-option-does-not-come-from-a-buffer ()
  (with-temp-buffer
    (setq-local aix-lsp-model-name "evil")
    (should (zerop (hash-table-count (aix-lsp-options-collect '(machine window resource) (current-buffer)))))))

(ert-deftest aix-lsp-test-keys-belong-to-others-while-nothing-is-offered ()
  (with-temp-buffer
    (let ((free (key-binding (kbd "M-n"))))
      (aix-lsp-ghost-show (list (make-aix-lsp-candidate :beg 1 :text "a")) #'ignore)
      (should (eq (key-binding (kbd "M-RET")) #'aix-lsp-accept))
      (should-not (eq (key-binding (kbd "TAB")) #'aix-lsp-accept))
      ;; a popup that is open too has use for it
      (should (eq (key-binding (kbd "M-n")) free))
      (aix-lsp-ghost-show (mapcar (lambda (text) (make-aix-lsp-candidate :beg 1 :text text)) '("a" "b")) #'ignore)
      (should (eq (key-binding (kbd "M-n")) #'aix-lsp-next))
      (aix-lsp-ghost-hide)
      (should (eq (key-binding (kbd "M-n")) free)))))

;;;; A buffer with a document, and a server that only listens

(defvar aix-lsp-test--sent nil "What the server was told, the latest first: (METHOD PARAMS).")

(defmacro aix-lsp-test--with-file (text &rest body)
  "Visit a file with TEXT in `aix-lsp-mode' and evaluate BODY."
  (declare (indent 1))
  `(let ((file (make-temp-file "aix-lsp-test-" nil ".el" ,text))
         (aix-lsp-test--sent nil))
     (cl-letf (((symbol-function 'aix-lsp-server-ready-p) #'always)
               ((symbol-function 'aix-lsp-server-encoding) (lambda () "utf-16"))
               ((symbol-function 'aix-lsp-server-start) #'ignore)
               ((symbol-function 'aix-lsp-server-notify)
                (lambda (method params) (push (list method params) aix-lsp-test--sent))))
       (unwind-protect
           (with-current-buffer (find-file-noselect file)
             (unwind-protect
                 (progn (aix-lsp-mode 1)
                        (setq aix-lsp-test--sent nil)
                        ,@body)
               (set-buffer-modified-p nil)
               (kill-buffer)))
         (delete-file file)))))

(defun aix-lsp-test--changes ()
  "The texts of the changes that the server was told last."
  (mapcar (lambda (change) (list (and (plist-get change :range) t) (plist-get change :text)))
          (plist-get (cadr (assq :textDocument/didChange aix-lsp-test--sent)) :contentChanges)))

(ert-deftest aix-lsp-test-a-change-that-hooks-are-not-told-of-is-sent ()
  (aix-lsp-test--with-file "abc\n"
    (let ((inhibit-modification-hooks t))
      (subst-char-in-region 1 2 ?a ?x))
    (aix-lsp-document-flush)
    (should (equal (aix-lsp-test--changes) '((nil "xbc\n"))))
    (goto-char 3)
    (insert "y")
    (aix-lsp-document-flush)
    (should (equal (aix-lsp-test--changes) '((t "y"))))))

(ert-deftest aix-lsp-test-changes-put-together-are-one ()
  (aix-lsp-test--with-file "abc\n"
    (combine-change-calls 1 4
      (goto-char 1)
      (insert "x")
      (delete-region 2 3))
    (aix-lsp-document-flush)
    (should (equal (aix-lsp-test--changes) '((t "xbc"))))))

(ert-deftest aix-lsp-test-what-is-read-anew-from-the-disk-is-sent ()
  (aix-lsp-test--with-file "one\ntwo\n"
    (with-temp-file buffer-file-name (insert "one\nt2o\nthree\n"))
    (revert-buffer t t t)
    (aix-lsp-document-flush)
    (should (assq :textDocument/didChange aix-lsp-test--sent))
    (should (= (aix-lsp-document-tick aix-lsp-document--here) (buffer-chars-modified-tick)))))

(ert-deftest aix-lsp-test-an-indirect-buffer-leaves-document-and-offer-to-its-base ()
  (aix-lsp-test--with-file "abc\n"
    (aix-lsp-ghost-show (list (make-aix-lsp-candidate :beg (point) :text "ghost")) #'ignore)
    (let ((copy (clone-indirect-buffer nil nil)))
      (with-current-buffer copy
        (should-not aix-lsp-mode)
        (should-not (overlays-in (point-min) (point-max)))
        (insert "x"))
      (kill-buffer copy))
    (should aix-lsp-ghost--shown)
    (should (overlays-in (point-min) (point-max)))
    (should-not aix-lsp-test--sent)
    (aix-lsp-document-flush)
    (should (equal (aix-lsp-test--changes) '((nil "xabc\n"))))))

(ert-deftest aix-lsp-test-a-server-that-dies-unseen-leaves-the-hooks-in-the-buffer ()
  (aix-lsp-test--with-file "abc\n"
    (setq aix-lsp--request 1 aix-lsp--asked '(0 0))
    (cl-letf (((symbol-function 'aix-lsp-backend-cancel) (lambda (&rest _) (error "Broken pipe")))
              (debug-on-error nil))
      (run-hooks 'post-command-hook))
    (should (memq #'aix-lsp--post-command post-command-hook))
    (setq aix-lsp--request nil)))

(ert-deftest aix-lsp-test-what-cannot-be-sent-is-no-error ()
  (cl-letf (((symbol-function 'aix-lsp-server-ready-p) #'always)
            ((symbol-function 'jsonrpc-notify) (lambda (&rest _) (error "Broken pipe")))
            ((symbol-function 'jsonrpc-async-request) (lambda (&rest _) (error "Broken pipe"))))
    (let (failed)
      (aix-lsp-server-notify :x nil)
      (aix-lsp-server-cancel 1)
      (should-not (aix-lsp-server-request :x nil #'ignore (lambda (why) (setq failed why))))
      (should (stringp failed)))))

(ert-deftest aix-lsp-test-the-result-of-a-command-comes-to-its-buffer ()
  (let (answer where)
    (cl-letf (((symbol-function 'aix-lsp-backend-ready-p) #'always)
              ((symbol-function 'aix-lsp-backend-execute)
               (lambda (_backend _command _arguments answered) (setq answer answered))))
      (with-temp-buffer
        (let ((buffer (current-buffer)))
          (aix-lsp-commands--execute "x" [] (lambda (_) (setq where (current-buffer))))
          (with-temp-buffer (funcall answer nil))
          (should (eq where buffer))))
      (setq where nil)
      (funcall answer nil)
      (should-not where))))

(ert-deftest aix-lsp-test-a-server-that-does-not-get-up-is-left-after-six-deaths ()
  (let* ((aix-lsp-server-command '("sh" "-c" "echo it is broken >&2; exit 3"))
         (aix-lsp-server--pause 0.001)
         (messages nil)
         (aix-lsp-server-status-function (lambda (status) (push (plist-get status :message) messages)))
         (end (+ (float-time) 300)))
    (aix-lsp-server-restart)
    (while (and (not (aix-lsp-server-refused)) (< (float-time) end))
      (accept-process-output nil 0.01))
    (should (equal (car messages)
                   (concat "the server ended 6 times, at last with \"it is broken\" (more: M-x aix-lsp-show-log); "
                           "M-x aix-lsp-restart tries again")))
    (with-current-buffer "*aix-lsp log*"
      (should (string-search "it is broken\n" (buffer-string))))
    (should (= 5 (seq-count (lambda (message) (string-search "it starts again in" message)) messages)))
    (should-not aix-lsp-server--timer)
    (aix-lsp-server-start)
    (should-not aix-lsp-server--current)
    (setq aix-lsp-server--refused nil
          aix-lsp-server--deaths 0)))

(ert-deftest aix-lsp-test-nothing-asks-when-emacs-ends ()
  (let ((aix-lsp-server-command '("cat")))
    (aix-lsp-server-restart)
    (should (process-live-p (jsonrpc--process aix-lsp-server--current)))
    (should-not (seq-some #'process-query-on-exit-flag (process-list)))
    (aix-lsp-server-stop)))

(ert-deftest aix-lsp-test-a-project-may-set-what-a-project-may-say ()
  (should (safe-local-variable-p 'aix-lsp-completion-enabled nil))
  (should-not (safe-local-variable-p 'aix-lsp-completion-enabled "evil"))
  (should (risky-local-variable-p 'aix-lsp-remote-url))
  (should-not (safe-local-variable-p 'aix-lsp-model-name "x")))

(ert-deftest aix-lsp-test-a-model-is-told-with-its-size ()
  (should (equal (aix-lsp-commands--size 12587904) "13M"))
  (should (equal (aix-lsp-commands--size 7200000000) "7.2B"))
  (should-not (aix-lsp-commands--size nil))
  (should (equal (aix-lsp-commands--note '( :name "x" :parameters 12587904 :licence "Apache-2.0." :commercial t
                                            :onDisk t :fits t :sizeGb 0.1 :note "")
                                         '(:current "x"))
                 "answers now, 13M, Apache-2.0"))
  (should (equal (aix-lsp-commands--note '( :name "y" :parameters 3085938688 :commercial :json-false
                                            :licence "Research Licence: a long story. And more."
                                            :onDisk :json-false :fits :json-false :sizeGb 6.2 :note "too slow")
                                         '(:current "x"))
                 "3.1B, Research Licence, not for commercial use, not downloaded, does not fit, too slow")))

;;;; What is sent about edits, for a test in Python

(defun aix-lsp-test-print-changes (seed encoding returns)
  "Print what is sent about a buffer that is edited at random, as JSON.
SEED makes the edits, ENCODING counts positions; with RETURNS there are
carriage returns in the text."
  (random seed)
  (let ((aix-lsp-test--alphabet (if returns aix-lsp-test--alphabet
                                  ["a" "é" "漢" "🎉" "\n" "\n" "\t" "x = 1"]))
        sent)
    (cl-letf (((symbol-function 'aix-lsp-server-ready-p) (lambda () t))
              ((symbol-function 'aix-lsp-server-encoding) (lambda () encoding))
              ((symbol-function 'aix-lsp-server-start) #'ignore)
              ((symbol-function 'aix-lsp-server-notify)
               (lambda (method params) (push (list :method (symbol-name method) :params params) sent))))
      (with-temp-buffer
        (setq buffer-file-name "/nowhere/x.py")
        (buffer-enable-undo)
        (insert (aix-lsp-test--text 20))
        (aix-lsp-document-attach)
        (dotimes (_ 60)
          (goto-char (+ (point-min) (random (1+ (buffer-size)))))
          (let ((other (+ (point-min) (random (1+ (buffer-size))))))
            (pcase (random 10)
              ((or 0 1 2) (insert (aix-lsp-test--text (1+ (random 3)))))
              (3 (delete-region (point) other))
              (4 (upcase-region (point) other))
              (5 (ignore-errors (transpose-chars 1)))
              (6 (subst-char-in-region (min (point) other) (max (point) other) ?a ?b))
              (7 (undo-boundary) (ignore-errors (primitive-undo 1 buffer-undo-list)))
              (8 (aix-lsp-document-flush))
              (9 (let ((inhibit-modification-hooks t))
                   (subst-char-in-region (min (point) other) (max (point) other) ?a ?x))))))
        (aix-lsp-document-flush)
        (princ (decode-coding-string
                (json-serialize (list :messages (vconcat (reverse sent)) :text (buffer-string))) 'utf-8-unix))
        (set-buffer-modified-p nil)
        (setq buffer-file-name nil)))))

(provide 'aix-lsp-test)
;;; aix-lsp-test.el ends here
