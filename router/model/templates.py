"""Instructions as people write them, around a text `{}`. Our own wording.

`UNSEEN` templates are never trained on: they say how the classifier does on wording that it has not met. They were written
before the first training, and nothing was changed after looking at how it does on them.
"""

from __future__ import annotations

import random

LANGUAGE = [
    "what language is this: {}", "What language is this?\n{}", "which language is this text in? {}",
    "Which language is the following written in?\n{}", "detect the language of: {}", "Detect language\n{}",
    "detect the language\n{}", "identify the language: {}", "Identify the language of this sentence.\n{}",
    "language of this text?\n{}", "language: {}", "lang id: {}", "name the language of \"{}\"",
    "tell me the language of this: {}", "tell me which language this is\n{}", "can you tell which language this is? {}",
    "Is this Spanish or Portuguese? {}", "Is this written in German or in Dutch?\n{}", "is that french? {}",
    "I got this message and do not know the language it is in: {}", "{}\nWhat language is that?",
    "{} - which language is it?", "In which language did the customer write? {}",
    "Give the ISO 639-1 code of the language:\n{}", "Give me the language code for: {}",
    "What tongue is this? {}", "Find out what language this text is.\n{}", "Recognise the language.\n{}",
    "Recognize the language used in {}", "Determine the language of the text below.\n{}",
    "language detection: {}", "language identification\n{}", "Guess the language: {}",
    "Please identify which language the user is speaking.\n{}", "does anyone know what language this is: {}",
    "what language did they write this in\n{}", "classify by language: {}", "Route by language:\n{}",
    "Name that language!\n{}", "Label the following text with its language.\n{}", "which of 75 languages is it: {}",
]
SENTIMENT = [
    "is this review positive: {}", "Is this review positive or negative?\n{}", "is this negative? {}",
    "positive or negative: {}", "Positive or negative?\n{}", "sentiment: {}", "Sentiment of this text?\n{}",
    "What is the sentiment of the following review?\n{}", "classify the sentiment of: {}", "Classify the sentiment.\n{}",
    "detect the sentiment\n{}", "Do a sentiment analysis of {}", "sentiment analysis: {}", "Analyse the sentiment:\n{}",
    "Analyze sentiment\n{}", "How does the customer feel? {}", "How does the writer feel about it?\n{}",
    "Did the customer like it? {}", "Did they like the film?\n{}", "does the reviewer recommend it: {}",
    "Is the writer happy or unhappy? {}", "is the customer satisfied\n{}", "Is this a good or a bad review? {}",
    "Is this feedback favourable?\n{}", "{}\nIs that positive?", "{}\nPositive or negative?",
    "{} - did they like it?", "What is the tone of this comment, good or bad? {}", "Rate as positive or negative:\n{}",
    "Label this review as negative or positive.\n{}", "tell me if this is a complaint or praise: {}",
    "tell me whether the following opinion is positive: {}", "Determine the polarity of the sentence.\n{}",
    "Was the reviewer pleased? {}", "did the author enjoy the book?\n{}", "good or bad: {}", "{}\n\nWas the customer happy?",
    "Judge the opinion below: favourable or unfavourable?\n{}", "feedback good or bad? {}", "pleased or annoyed? {}",
    "Does the author speak well of it?\n{}", "the sentiment, please: {}", "Say if this comment is positive.\n{}",
    "polarity: {}", "would this person buy it again? {}", "what does the reviewer think\n{}", "mood of this message: {}",
    "Does this review sound positive to you?\n{}", "thumbs up or thumbs down? {}", "Find out if the user is angry: {}",
]
INTENT = [
    "which intent is this: {}", "What is the intent of this request?\n{}", "intent: {}", "Intent of the user?\n{}",
    "detect the intent of: {}", "Detect intent\n{}", "classify the intent\n{}", "Classify this request: {}",
    "classify the user's request\n{}", "What does the user want? {}", "What does this user want to do?\n{}",
    "what is the customer asking for: {}", "what is the user trying to do\n{}", "Name the intent:\n{}",
    "tell me the intent of: {}", "tell me what this person wants: {}", "Identify the intent of this utterance.\n{}",
    "identify the user intent: {}", "Which action does the user ask for?\n{}", 
    "Which skill should handle this? {}", "map this utterance to an intent: {}", "Route this request: {}",
    "intent classification: {}", "intent detection\n{}", "find the intent\n{}", "{}\nWhat is the intent?",
    "{} - what do they want?", "Label the request with its intent.\n{}", "Determine what the caller wants.\n{}",
    "Recognise the user's intention: {}", "what should the assistant do for this: {}", "purpose of this request? {}",
    "Which of the assistant's functions is meant?\n{}", "What task is the user asking for? {}",
]
BANKING = [
    "which banking intent is this: {}", "What is the intent of this banking query?\n{}", "banking intent: {}",
    "classify this bank customer's question: {}", "Classify the banking question.\n{}", "what does the bank customer need? {}",
    "Which banking topic is this about?\n{}", "which of the bank's help pages fits: {}", "Route this to the bank's help desk: {}",
    "route the bank customer's message\n{}", "a customer of our bank writes: {}", "Our bank got this question:\n{}",
    "detect the banking intent of: {}", "Label this banking request.\n{}", "banking query: {}", "bank support ticket: {}",
    "Which department of the bank should answer?\n{}", "{}\nWhich banking issue is that?", "{}\nWhat does the bank customer want?",
    "card, transfer or top-up problem? {}", "is this about a card payment or a transfer: {}", "map to one of 77 banking intents: {}",
    "Find the banking category.\n{}", "what kind of bank problem is it? {}", "identify the bank issue: {}",
    "Tag this message from the banking app: {}", "triage for the bank's support team:\n{}", "which account problem is this: {}",
    "name the banking request: {}", "What is the customer asking their bank?\n{}",
]
COMMAND = [
    "parse this command: {}", "Parse the command and give its slots.\n{}", "fill the slots: {}", "Fill in the slots.\n{}",
    "extract the slots from: {}", "slots of this command? {}", "slot filling: {}", "Slot filling\n{}", "which slots are in: {}",
    "Which command is this, and with which arguments?\n{}", "command and slots: {}", "voice command: {}", "Voice command:\n{}",
    "the user said to the speaker: {}", "what should the voice assistant carry out? {}", "parameters of the command: {}",
    "Get the parameters of this voice command.\n{}", "interpret this command\n{}", "Turn the utterance into a command with slots: {}",
    "Understand this command:\n{}", "{}\nWhich slots does it fill?", "{}\nParse that command.", "date, place and party size in: {}",
    "Which restaurant, when and for how many? {}", "get the booking details from: {}", "artist, album or playlist: {}",
    "what was the smart speaker told to do: {}", "Find the arguments in this command.\n{}", "label the slots of\n{}",
    "read the command and its values: {}", "convert to a structured command: {}", "Semantic frame of: {}",
    "Which details does the spoken command hold?\n{}", "command parsing: {}", "nlu parse: {}",
]
EMOTION = [
    "which emotion is this: {}", "What emotion does this text express?\n{}", "emotion: {}", "Emotion of this text?\n{}",
    "detect the emotion\n{}", "Detect emotions in: {}", "classify the emotions of: {}", "Which feelings are in this line?\n{}",
    "what is the speaker feeling? {}", "Which emotion does the speaker show?\n{}", "anger, fear, joy or sadness? {}",
    "is this joy or sadness: {}", "Is the speaker afraid or angry?\n{}", "name the emotion: {}", "Name the feelings:\n{}",
    "emotion detection: {}", "emotion recognition\n{}", "emotional tone: {}", "Label this with its emotions.\n{}",
    "Which of the eight emotions fit?\n{}", "{}\nWhich emotion is that?", "{}\nWhat does the speaker feel?",
    "does this express surprise: {}", "Is there trust or disgust in this line? {}", "tell me the emotion in: {}",
    "Tag the emotion of the dialogue line\n{}", "what emotional state is this? {}", "Plutchik emotion: {}",
    "Identify the emotions.\n{}", "Say which emotion the message carries: {}", "is somebody angry here? {}",
    "Does it sound sad, joyful or scared?\n{}", "anticipation or fear: {}", "recognise the emotion in: {}",
]
ENTITIES = [
    "extract the entities: {}", "Extract all named entities.\n{}", "named entities in: {}", "Which entities are mentioned?\n{}",
    "find all names in: {}", "Find the persons, places and organisations.\n{}", "list the people in this text: {}",
    "Which companies are named here?\n{}", "Who is mentioned? {}", "which places occur in: {}", "List the organisations in\n{}",
    "NER: {}", "named entity recognition\n{}", "tag the entities in: {}", "Mark people, places and products.\n{}",
    "Extract all names from the text.\n{}", "list the products mentioned in: {}", "Which persons are mentioned? {}",
    "{}\nWhich names are in there?", "{}\nExtract the entities.", "who and where: {}", "get the proper names from: {}",
    "find mentions of people and companies\n{}", "Highlight locations in this sentence: {}", "Pull out the names: {}",
    "Which creative works are named?\n{}", "spot the named entities: {}", "recognise names of persons in: {}",
    "Which countries and cities does it talk about?\n{}", "entity extraction: {}", "annotate entities\n{}",
    "persons, locations, organisations: {}", "What brands are mentioned in this post? {}", "Identify the entities in the tweet.\n{}",
]
QUESTION = [
    "what does this question ask for: {}", "What kind of answer does this question want?\n{}", "question type: {}",
    "Type of this question?\n{}", "classify the question: {}", "Classify this question by its answer type.\n{}",
    "does it ask for a person, a place or a number? {}", "Is the answer a number or a date?\n{}", "answer type of: {}",
    "Which type of answer is expected?\n{}", "expected answer type: {}", "is this question about a location? {}",
    "Does this question ask for a definition?\n{}", "what would the answer be, a human or an entity: {}",
    "{}\nWhat is this question asking for?", "{}\nWhich answer type is that?", "category of the question: {}",
    "Sort this question: abbreviation, entity, description, human, location or number?\n{}", "question classification\n{}",
    "label the question\n{}", "Which class does this question belong to? {}", "detect the question type: {}",
    "Should the answer be a place?\n{}", "is a person's name wanted here: {}", "Identify what is being asked: who, where, when or how many?\n{}",
    "tell me the kind of question: {}", "is it a who, a where or a how-many question: {}", "TREC class: {}",
    "what sort of thing does the asker want to know? {}", "Find the question's category.\n{}",
]
TECH_TOPIC = [
    "which technology is this about: {}", "Which technology does this post concern?\n{}", "programming topic: {}",
    "tag this stack overflow question: {}", "Tag for this programming question?\n{}", "which tag fits: {}", "software topic: {}",
    "Which framework is the developer asking about?\n{}", "Is it about Linux, Matlab or Oracle? {}", "hibernate, spring or scala: {}",
    "classify the developer question\n{}", "Classify this programming question by topic: {}", "which forum section for this coding problem: {}",
    "What software is this bug report about?\n{}", "technical topic of: {}", "Technical topic?\n{}", "{}\nWhich technology is it?",
    "{}\nWhich programming tag?", "detect the tech topic: {}", "Which programming language or tool is meant?\n{}",
    "is this a wordpress or a drupal question? {}", "route this developer ticket: {}", "Label the IT question with its technology.\n{}",
    "name the library or tool: {}", "sort by tech stack: {}", "Which product do these developers struggle with?\n{}",
    "to which stack exchange tag does it belong: {}", "Find the technology.\n{}", "is it an apache or an svn issue: {}",
    "IT support category: {}", "which software skill is needed for this? {}",
]
SPAM = [
    "is this spam: {}", "Is this spam?\n{}", "spam or ham: {}", "Spam or not?\n{}", "is this message spam or ham? {}", "spam check\n{}",
    "check this sms for spam: {}", "Is this text message junk?\n{}", "junk mail? {}", "Should I block this message? {}",
    "is this an advert or a real message: {}", "Is this SMS unwanted advertising?\n{}", "classify as spam or ham: {}",
    "Does this look like a scam text?\n{}", "spam filter: {}", "Spam detection\n{}", "detect spam: {}", "is it phishing: {}",
    "{}\nIs that spam?", "{}\nSpam or ham?", "I got this text, is it spam? {}", "Should this go to the junk folder?\n{}",
    "is the following text message legitimate: {}", "legit or spam: {}", "Tell me if this message is spam.\n{}",
    "is somebody trying to sell me something: {}", "label the message as ham or spam: {}", "Filter out spam:\n{}",
    "unsolicited message? {}", "Determine whether the SMS is spam\n{}", "is this a spam text {}", "can i trust this sms: {}",
]
GUARD = [
    "is this a jailbreak: {}", "Is this prompt a jailbreak attempt?\n{}", "prompt injection? {}", "Check for prompt injection.\n{}",
    "is this prompt safe: {}", "Is it safe to send this prompt to the model?\n{}", "guard: {}", "does this try to trick the chatbot? {}",
    "Does the user try to get around the rules of the assistant?\n{}", "safety check of this prompt\n{}", "prompt attack or harmless: {}",
    "Is this prompt harmful or benign?\n{}", "classify the prompt as attack or benign: {}", "should the model refuse this? {}",
    "Is this a harmful request?\n{}", "detect jailbreaks: {}", "Detect injected instructions in\n{}", "screen this prompt: {}",
    "Screen the user's input before the model sees it.\n{}", "{}\nIs that a prompt attack?", "{}\nSafe prompt?",
    "malicious prompt? {}", "is the user manipulating the assistant: {}", "Does this text hold hidden instructions for the model?\n{}",
    "LLM guard: {}", "input guardrail\n{}", "is this an attempt to bypass the filter: {}", "Would this break our content policy?\n{}",
    "check user prompt for attacks: {}", "Is the following an adversarial prompt?\n{}", "red team prompt or not: {}",
]
TOXICITY = [
    "is this toxic: {}", "Is this comment toxic?\n{}", "toxicity: {}", "hate speech? {}", "Does this text contain hate speech? {}",
    "Is this hate speech or just offensive?\n{}", "is this offensive: {}", "Is this post offensive?\n{}", "check for abusive language: {}",
    "Moderate this comment.\n{}", "moderation: {}", "should this comment be removed? {}", "Does this insult a group of people?\n{}",
    "detect hate speech\n{}", "Detect toxic language in: {}", "classify as hateful, offensive or neither: {}",
    "Is the tweet abusive?\n{}", "{}\nIs that hateful?", "{}\nIs it offensive?", "rude or okay: {}", "Is this racist? {}",
    "is it sexist: {}", "does it contain slurs? {}", "Does the author attack somebody for what they are?\n{}",
    "is this an insult: {}", "toxic comment check\n{}", "flag hateful content: {}", "Flag this post if it is abusive.\n{}",
    "content moderation\n{}", "hateful or harmless: {}", "Is the language in this message acceptable?\n{}", "bullying? {}",
]
PII = [
    "does this contain personal data: {}", "Does this text contain personal information?\n{}", "find the personal data in: {}",
    "Find personal data.\n{}", "PII: {}", "pii detection\n{}", "detect pii in: {}", "redact this: {}", "Redact personal data in\n{}",
    "anonymise this text: {}", "Anonymize the following.\n{}", "mask names, phone numbers and card numbers: {}",
    "Which personal details does it reveal?\n{}", "is there a phone number or an address in this? {}", "credit card number in here? {}",
    "Find e-mail addresses and phone numbers.\n{}", "any sensitive data: {}", "GDPR check: {}", "Check this for private data\n{}",
    "{}\nDoes that give away personal data?", "{}\nMark the personal information.", "remove private information from: {}",
    "Hide what identifies a person.\n{}", "extract the IBAN: {}", "social security number? {}", "which private details are in: {}",
    "de-identify: {}", "De-identify this note.\n{}", "personal identifiers in this message? {}", "scan for personal data: {}",
    "Can this be shared, or does it identify someone?\n{}", "list the sensitive personal details in: {}", "privacy scan\n{}",
]
TRANSLATE_EN_DE = [
    "translate to german: {}", "Translate to German:\n{}", "translate into german: {}", "Translate this into German.\n{}",
    "translate the following to german\n{}", "Translate the following sentence into German:\n{}", "translate English to German: {}",
    "Translate from English to German.\n{}", "translate from english into german: {}", "en to de: {}", "en-de: {}", "EN -> DE\n{}",
    "english to german: {}", "English-German translation:\n{}", "in german: {}", "in German, please: {}", "put this in german: {}",
    "Put the text below into German.\n{}", "how do you say this in german: {}", "How do I say \"{}\" in German?",
    "what is the german for: {}", "What is that in German?\n{}", "what's the German translation of {}", "german translation of: {}",
    "German translation\n{}", "german version: {}", "Give me the German version.\n{}", "say it in german: {}",
    "{}\nTranslate that to German.", "{}\nIn German, please.", "{} - how is that said in german?", "{}\nHow would a German say that?",
    "write this in german: {}", "Rewrite in German:\n{}", "render this in German: {}", "auf Deutsch: {}", "Auf Deutsch bitte:\n{}",
    "ins Deutsche: {}", "Übersetze ins Deutsche: {}", "I need this text in German:\n{}", "Our customer reads German only, translate: {}",
    "translate for a German reader\n{}", "make a German translation of this\n{}", "machine translation to German: {}",
]
# None of our experts does these, whatever the text is.
OTHER = [
    "summarize: {}", "Summarise the following text in one sentence.\n{}", "tl;dr {}", "translate to french: {}",
    "Translate this into English.\n{}", "translate the following to dutch\n{}", "rewrite this politely: {}",
    "Paraphrase: {}", "Paraphrase this review.\n{}", "fix the grammar: {}", "Correct the spelling of this text\n{}",
    "write a reply to this message: {}", "Write a poem about this: {}", "write an email based on this\n{}",
    "find the dates in this text: {}",
    "Give this text a title:\n{}",
    "Make this shorter: {}", "Make it sound more formal.\n{}", "explain this to a child: {}",
    "continue the story: {}", "Answer the question based on the text.\n{}", "Is the following statement true? {}",
    "count the words in: {}", "Convert to upper case: {}", "turn this into bullet points\n{}",
    "write a python function that {}", 
    "put this in Spanish: {}", "Shorten the text below.\n{}", "Draft a response:\n{}", 
    "reformulate: {}", "Think of a headline for this: {}", 
    "Improve this text.\n{}", "Polish the wording of\n{}", "What theme does this text have? {}", "how old is the author? {}",
    "What does this mean? {}", "Proofread the following.\n{}", "What happens next?\n{}", "find the keywords: {}",
    "read this aloud: {}", "How many sentences are there in: {}", "Write a headline for:\n{}",
    "expand this into a full paragraph\n{}", "write a story that begins with: {}", "make a haiku out of: {}", "Write code for this: {}",
    "simplify: {}", "Simplify the language of this text.\n{}", "translate into italian: {}", "Translate to Japanese:\n{}",
    "how do you say this in portuguese: {}", "what are the main points of\n{}", "Give me three takeaways from this: {}",
    "compare this with its opposite: {}", "give an example of this: {}", "argue against: {}", "Write an advert for\n{}",
    "what comes next: {}", "Fill in the blank: {}", "Does the first sentence follow from the second?\n{}",
    "are these two sentences the same: {}", "solve this: {}", "Compute the result.\n{}", "write unit tests for: {}",
    "refactor this code\n{}", "explain this code: {}", "give me a recipe with: {}", "plan a trip based on this: {}",
    "draw a picture of this: {}", "rate the writing style of this essay\n{}", "how many words: {}", "reverse this text: {}",
    "Sort these alphabetically:\n{}", "make a table of: {}", "Convert this to JSON.\n{}", "is this grammatical: {}",
    "is this sarcastic? {}", "Is the tweet ironic?\n{}", "who is right in this argument? {}", "suggest a gift for this person: {}",
    "how should i answer this: {}", "Give feedback on my essay:\n{}", "act as a career coach: {}", "brainstorm ideas for\n{}",
    "generate a question about this text: {}", "which movie is this about? {}", "What product is reviewed here?\n{}",
    "Replace all adjectives in this sentence: {}", "Is this text written by a human? {}", "spell check\n{}",
    # The translator knows one way only.
    "translate to english: {}", "translate from german to english: {}", "German to English:\n{}", "de to en: {}", "de-en: {}",
    "what does this german sentence mean in english: {}", "translate english to french: {}", "English to Spanish:\n{}",
    "translate into chinese\n{}", "Translate to Russian: {}", "how do you say this in polish: {}", "in swedish, please: {}",
    "put this into arabic: {}", "Give me the Turkish version.\n{}", "french translation of: {}", "{}\nTranslate that to Korean.",
    "en to fr: {}", "en-es: {}", "translate from French to German: {}", "Translate the following sentence into Latin:\n{}",
]
UNSEEN = {
    "language": [
        "A colleague forwarded this. Do you recognise the language? {}", "What's the language here? {}",
        "Figure out which language we are dealing with:\n{}", "is it Finnish, Estonian or Hungarian\n{}",
        "Return the two-letter language code.\n{}", "from which language are these words? {}",
        "{}\n\nI wonder what language this is.", "language check: {}", "Spot the language -> {}",
        "We need the language of the ticket below.\n{}",
    ],
    "sentiment": [
        "Was this a happy buyer? {}", "Score the sentiment as positive or negative.\n{}",
        "Is the feeling in this review good or bad?\n{}", "Praise or criticism? {}", "{}\n\nIs this opinion negative?",
        "how positive is this\n{}", "Check the sentiment of this feedback: {}", "Do you think they were satisfied? {}",
        "Tell happy from unhappy customers:\n{}", "sentiment check -> {}",
    ],
    "intent": [
        "What would this user like to do? {}", "Under which intent would you file this?\n{}",
        "intent check: {}", "Tell me what the caller is asking for:\n{}", "{}\n\nWhat is the user's intention?",
        "which intent does this utterance have -> {}", "Decide which request type this is.\n{}",
        "What are they trying to get done? {}", "Read the message and give its intent.\n{}", "Map to an intent:\n{}",
    ],
    "none": [
        "Boil this down to its essence:\n{}", "How would you say this in Japanese? {}", "Compose a tweet about this: {}",
        "Make this easier to read: {}", 
        "{}\n\nWhat could happen after that?", "Turn this into a question: {}", "Check the facts in this passage.\n{}",
        "Rhyme on this: {}",
    ],
    "banking": [
        "Help desk of a bank: where does this belong? {}", "What trouble does this account holder have?\n{}",
        "Pick the right FAQ of our bank:\n{}", "bank enquiry -> {}", "{}\n\nSort this under one of the bank's topics.",
        "What would a bank clerk make of this? {}", "Assign the banking ticket.\n{}", "Is this person's problem a lost card or a fee? {}",
        "Which service of the bank is meant? {}", "banking enquiry type: {}",
    ],
    "command": [
        "What did the user tell the device, in slots? {}", "Break this command into its parts.\n{}", "spoken command -> {}",
        "{}\n\nWhat are the values of the slots?", "Which song, which artist, which service?\n{}", "Give action and parameters: {}",
        "Prepare this order for the assistant's back end: {}", "argument extraction for a voice assistant: {}",
        "Read out time, people and place of the reservation.\n{}", "frame and slots please: {}",
    ],
    "emotion": [
        "How is the character feeling? {}", "What mood is the speaker in: scared, glad, furious?\n{}", "emotion check -> {}",
        "{}\n\nGuess the emotion.", "Which feeling comes through here? {}", "Is it rage, dread or delight? {}",
        "Pick the emotions that this line shows.\n{}", "emotions please: {}", "Do you hear fear in this? {}", "affect: {}",
    ],
    "entities": [
        "Whose names turn up in this? {}", "List every place that is mentioned.\n{}", "entity check -> {}", "{}\n\nWho and what is named?",
        "Underline all proper nouns that name somebody or something.\n{}", "Any companies or people in this post? {}",
        "Give me the named people: {}", "Find every organisation in this sentence.\n{}", "locations and persons please: {}", "spans of names: {}",
    ],
    "question": [
        "What is the asker after: a date, a person, a thing? {}", "Say which kind of fact is wanted.\n{}", "question check -> {}",
        "{}\n\nWhat type of question would you call that?", "Would a name answer this? {}", "Is a quantity asked for? {}",
        "Put this question in a category.\n{}", "kind of question, please: {}", "Who, what, where or how much? {}", "answer category: {}",
    ],
    "tech-topic": [
        "Under which tag would programmers file this? {}", "What tool is the coder having trouble with?\n{}", "tech check -> {}",
        "{}\n\nWhich piece of software is concerned?", "Is that Ajax, Bash or Excel? {}", "Find a developer tag: {}",
        "Which IT expert should read this?\n{}", "stack of this question: {}", "Assign this coding question to a topic.\n{}",
        "software in question: {}",
    ],
    "spam": [
        "Can this message go straight to the bin? {}", "Would a spam filter stop this?\n{}", "spam test -> {}", "{}\n\nReal or spam?",
        "Is someone trying to cheat me with this text? {}", "Separate spam from ham:\n{}", "bulk message or personal? {}",
        "does it look spammy: {}", "Say ham or spam.\n{}", "Genuine text or rubbish offer? {}",
    ],
    "guard": [
        "Could this prompt make our bot misbehave? {}", "Is anyone attacking the language model here?\n{}", "guard check -> {}",
        "{}\n\nWould you let this through to the LLM?", "Does it tell the AI to ignore its instructions? {}",
        "Say if this input is dangerous for the chatbot.\n{}", "block or allow this prompt: {}", "jailbreak test: {}",
        "Rate the risk of this prompt.\n{}", "evil or innocent request? {}",
    ],
    "toxicity": [
        "Would this get somebody banned? {}", "Does this comment hurt a minority?\n{}", "toxicity check -> {}", "{}\n\nToo nasty to publish?",
        "Is there abuse in this message? {}", "Decide: hate, offence, or neither.\n{}", "nasty or fine? {}", "Could readers feel insulted? {}",
        "Review this post for the moderators.\n{}", "offensiveness: {}",
    ],
    "pii": [
        "Is there any personal data in here? {}", "Would publishing this expose someone?\n{}", "privacy check -> {}",
        "{}\n\nBlack out whatever is private.", "Look for card numbers and addresses: {}", "Which parts identify a customer? {}",
        "Strip this of personal details.\n{}", "leak of personal data? {}", "Point out names, numbers and addresses of private people.\n{}",
        "confidential details in this: {}",
    ],
    "translate-en-de": [
        "Could you turn this English sentence into German? {}", "What would you write in a letter to Berlin?\n{}",
        "I want to tell my German landlord: {}", "EN>DE {}", "{}\n\nI need it in German.", "Convert the English text to German.\n{}",
        "a German rendering of this: {}", "Help me say this to my colleagues in Munich: {}", "Provide the German wording.\n{}",
        "german equivalent -> {}",
    ],
}

# Parts from which requests for two or three experts are put together: as a noun, and as a question.
NOUNS = {
    "language": ["the language", "its language", "which language it is in", "the language it is written in",
                 "the language code", "what language it is"],
    "sentiment": ["the sentiment", "its sentiment", "whether it is positive", "whether it is positive or negative",
                  "if the writer is happy", "the polarity", "whether they liked it"],
    "intent": ["the intent", "its intent", "what the user wants", "the user's intent", "what is asked for",
               "the intent of the request"],
    "banking": ["the banking intent", "the kind of banking question", "which banking topic it is", "the bank customer's problem",
                "what the bank customer needs"],
    "command": ["the slots", "the command and its slots", "its slots", "the command's parameters", "the arguments of the command",
                "the slot values"],
    "emotion": ["the emotion", "the emotions", "its emotion", "which emotion it shows", "what the speaker feels", "the feelings in it"],
    "entities": ["the entities", "the named entities", "all names", "the people and places in it", "who is mentioned",
                 "the organisations", "the persons"],
    "question": ["the question type", "what the question asks for", "the kind of answer wanted", "the answer type",
                 "the class of the question"],
    "tech-topic": ["the technology", "which technology it is about", "the programming topic", "its stack overflow tag", "the tech topic"],
    "spam": ["whether it is spam", "if it is spam", "if this is spam or ham", "whether the message is junk", "the spam label"],
    "guard": ["whether it is a prompt attack", "if it is a jailbreak", "whether the prompt is safe", "if somebody attacks the model",
              "whether it holds a prompt injection"],
    "toxicity": ["the toxicity", "whether it is toxic", "if it is offensive", "whether it is hate speech", "if it is hateful"],
    "pii": ["the personal data", "any personal data in it", "which personal details it has", "the PII", "the phone numbers and addresses",
            "whether it gives away private data"],
    "translate-en-de": ["a German translation", "the German translation", "it in German", "the text in German", "a translation into German",
                        "the German version"],
}
QUESTIONS = {
    "language": ["what language is it in", "what language is this", "which language is this in",
                 "which language is the review in", "in what language is it written"],
    "sentiment": ["is it positive", "is it positive or negative", "what is its sentiment", "is the review good or bad",
                  "did they like it", "is the customer happy"],
    "intent": ["what is the intent", "what does the user want", "which intent is it", "what is being asked for"],
    "banking": ["which banking intent is it", "what does the bank customer need", "which banking topic is it about"],
    "command": ["which slots does it fill", "what are the slots", "which command with which arguments is it", "what are its parameters"],
    "emotion": ["which emotion is it", "what does the speaker feel", "what emotion does it express", "which emotions are in it"],
    "entities": ["who is mentioned", "which names are in it", "which entities does it name", "which places does it name"],
    "question": ["what does it ask for", "what type of question is it", "which answer type is expected", "what kind of answer is wanted"],
    "tech-topic": ["which technology is it about", "which programming tag fits", "what software is it about"],
    "spam": ["is it spam", "is this spam or ham", "is the message junk"],
    "guard": ["is it a jailbreak", "is the prompt safe", "is this a prompt attack", "is it a prompt injection"],
    "toxicity": ["is it toxic", "is it offensive", "is it hate speech", "is it hateful"],
    "pii": ["does it contain personal data", "which personal details are in it", "is there a phone number or an address in it"],
    "translate-en-de": ["what is it in German", "how do you say it in German", "what is the German translation", "how is that said in German"],
}
OPENINGS = ["detect {} of: {{}}", "Detect {} of this text.\n{{}}", "tell me {}: {{}}", "Tell me {}.\n{{}}",
            "find {} of {{}}", "Give me {} of the following:\n{{}}", "give {}\n{{}}", "Identify {}:\n{{}}",
            "I need {} for this: {{}}", "classify {}: {{}}", "{}: {{}}", "{}?\n{{}}", "Report {}.\n{{}}",
            "{{}}\nTell me {}.", "what about {} here: {{}}", "check {} of\n{{}}", "{{}}\n{}?", "show {}: {{}}", "please find out {}\n{{}}", "For the text below, return {}.\n{{}}"]
# For one thing alone, and for things that no expert does.
OTHER_NOUNS = ["a summary", "a translation into Spanish", "the English translation", "a better wording", "the main points", "a title", "the author",
               "a reply", "a poem about it", "the moral of it", "an explanation", "a shorter version", "keywords",
               "a correct spelling", "a French version", "the meaning", "the genre", "the answer"]
PREFIXES = ["please ", "Please ", "can you ", "could you ", "Hey, ", "I want you to ", "Now ", "kindly ", "ok ", "Hi! "]
UNSEEN_OPENINGS = ["We would like to know {}:\n{{}}", "could I have {} please? {{}}", "Establish {} for this message: {{}}",
                   "{{}}\n\nOutput {}.", "Read this and answer with {}.\n{{}}"]


def joined(parts: list[str], rng: random.Random) -> str:
    last = rng.choice([" and ", " and ", ", and ", " as well as ", " & ", ", "])
    return ", ".join(parts[:-1]) + last + parts[-1]


def several(experts: list[str], rng: random.Random, openings: list[str] = OPENINGS) -> str:
    """A template that asks for all of `experts`."""
    experts = rng.sample(experts, len(experts))
    if rng.random() < 0.35:
        question = joined([rng.choice(QUESTIONS[expert]) for expert in experts], rng)
        question = question[0].upper() + question[1:] if rng.random() < 0.6 else question
        return question + rng.choice(["?\n{}", "? {}", ": {}", "?\n\n{}"])
    nouns = joined([rng.choice(NOUNS[expert]) for expert in experts], rng)
    text = rng.choice(openings).format(nouns)
    return text[0].upper() + text[1:] if rng.random() < 0.3 else text


def one(expert: str, templates: list[str], rng: random.Random) -> str:
    """A template that asks for one thing: a written one, or one put together."""
    if rng.random() < 0.6:
        template = rng.choice(templates)
    elif expert in QUESTIONS and rng.random() < 0.3:
        question = rng.choice(QUESTIONS[expert])
        template = rng.choice([f"{question}? {{}}", f"{question[0].upper()}{question[1:]}?\n{{}}", f"{{}}\n{question}?"])
    else:
        template = rng.choice(OPENINGS).format(rng.choice(NOUNS.get(expert, OTHER_NOUNS)))
    return rng.choice(PREFIXES) + template if rng.random() < 0.12 else template


# What people put before or after a request when they are cross or glad.
REMARKS = [
    "this is the worst service ever", "i am so angry with you", "your app is terrible and slow", "i love this app",
    "you people are useless", "the new update is awful", "your support was fantastic last time", "great service so far",
    "this is really disappointing", "i hate waiting this long", "your bank is the best", "thank you, you were wonderful",
    "the card you sent me is rubbish", "i am very unhappy with the fees", "the website is a joke",
    "this assistant is amazing", "what a horrible experience", "worst bank i ever had", "i am really impressed",
    "the hotel was filthy and loud", "the flight was a nightmare", "the staff were lovely", "it never works",
    "everything was perfect", "the food was disgusting", "such a waste of money", "this keeps failing and i am fed up",
    "i am delighted with the card", "absolutely brilliant app", "customer service was rude to me",
]

# Requests that need a model which writes or knows: none of the experts does. Put together from a beginning and a subject.
OPEN = ["write a poem about {}", "Write a short story about {}.", "explain {} to me", "give me ideas for {}", "how does {} work",
        "write an essay on {}", "What are the advantages of {}?", "compare {} and {}", "make a plan for {}", "Tell me a joke about {}.",
        "help me with {}", "design a logo for {}", "write a python script for {}", "Compose an email about {}.", "create a quiz on {}",
        "what do you think about {}", "teach me {}", "draft a speech about {}", "list ten facts about {}", "Suggest names for {}.",
        "write lyrics about {}", "summarize the history of {}", "can you recommend books on {}", "debug my code for {}",
        "Generate a dialogue about {}.", "how can i get better at {}", "prove a theorem about {}", "invent a game with {}"]
SUBJECTS = ["the sea", "gardening", "black holes", "medieval castles", "my wedding", "machine learning", "a bakery", "bees", "chess",
            "the french revolution", "sailing", "a job interview", "climate change", "jazz", "a birthday party", "vaccines", "dragons",
            "prime numbers", "sourdough bread", "electric cars", "my cat", "renewable energy", "the roman empire", "volcanoes",
            "a startup", "marathon running", "ancient greece", "time travel", "coffee", "photosynthesis", "the stock market",
            "friendship", "a school project", "moving house", "learning the piano", "space travel", "public speaking", "dinosaurs",
            "a board game", "mindfulness", "quantum computers", "the moon", "a website", "my garden shed", "good habits", "trains"]

# Sentences that give somebody away. Names in braces are types of personal data.
LEAKS = ["my name is {PERSON} and my card number is {CREDIT_CARD}", "Call me on {PHONE_NUMBER}.", "my e-mail is {EMAIL_ADDRESS}",
         "Send it to {PERSON}, {STREET_ADDRESS}.", "{PERSON}'s phone: {PHONE_NUMBER}", "I moved to {STREET_ADDRESS} last month",
         "you can reach {PERSON} at {EMAIL_ADDRESS}", "my social security number is {US_SSN}", "ssn {US_SSN}, name {PERSON}",
         "pay it into {IBAN_CODE}", "the IBAN of {PERSON} is {IBAN_CODE}", "card: {CREDIT_CARD}", "We met at {STREET_ADDRESS}, ask for {PERSON}.",
         "this is {PERSON}, number {PHONE_NUMBER}", "Customer {PERSON}, {STREET_ADDRESS}, {PHONE_NUMBER}",
         "please write to {EMAIL_ADDRESS} or ring {PHONE_NUMBER}", "the payment with {CREDIT_CARD} was made by {PERSON}",
         "my ip is {IP_ADDRESS}", "Licence {US_DRIVER_LICENSE} belongs to {PERSON}", "{PERSON} was seen near {STREET_ADDRESS}",
         "{EMAIL_ADDRESS} is my new address", "deliver the parcel to {STREET_ADDRESS}", "old number {PHONE_NUMBER}, new number {PHONE_NUMBER}",
         "I, {PERSON}, live in {STREET_ADDRESS}", "the patient {PERSON} ({US_SSN}) called", "refund {PERSON} on {CREDIT_CARD}",
         "login from {IP_ADDRESS} by {EMAIL_ADDRESS}", "invoice for {PERSON}: {IBAN_CODE}", "cc {EMAIL_ADDRESS}"]


def leaking(leaks: dict[str, list[str]], rng: random.Random) -> str:
    sentence = rng.choice(LEAKS)
    for kind, found in leaks.items():
        while f"{{{kind}}}" in sentence:
            sentence = sentence.replace(f"{{{kind}}}", rng.choice(found), 1)
    return sentence


def all_words() -> list[str]:
    """Everything that instructions are made of, and none of the unseen ones."""
    lists = (LANGUAGE, INTENT, BANKING, COMMAND, SENTIMENT, EMOTION, ENTITIES, QUESTION, TECH_TOPIC, SPAM, GUARD, TOXICITY, PII,
             TRANSLATE_EN_DE, OTHER, OTHER_NOUNS, OPENINGS, *NOUNS.values(), *QUESTIONS.values())
    return [text for texts in lists for text in texts]
